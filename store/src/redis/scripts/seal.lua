#!lua flags=allow-oom
-- Seals an open partition: a document vanished from it, so more may be missing.
--
-- KEYS  1 marker, 2 seal
-- ARGV  1 the generation that is to be sealed   2 PUBLISH or SPUBLISH   3 the channel
--
-- Replies an array: a word, TIME in seconds and microseconds, generation, floor, sequence.
--   SEALED  It is sealed, by this call or before.
--   OPEN    It is open in another generation: nothing was done.
local call = redis.call
local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local reply = {'SEALED', time[1], time[2], marker[2] or '0', marker[3] or '0', marker[4] or '0'}
if not marker[1] or marker[1] ~= replication then return reply end
if marker[2] ~= ARGV[1] then
  reply[1] = 'OPEN'
  return reply
end
-- Generation, floor and sequence stay: the next opening goes on from them.
call('HSET', KEYS[1], 'r', '')
call('UNLINK', KEYS[2])
redis.pcall(ARGV[2], ARGV[3], 'M')
return reply
