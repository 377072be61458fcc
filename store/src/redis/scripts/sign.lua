#!lua
-- An instance signs a sealed partition: what it knows of it, and whether it has written all back.
--
-- The first to sign notes the time. A note under another replication id, or none, starts all over:
-- what was written back may be lost again, so nobody has finished.
--
-- KEYS  1 marker, 2 seal
-- ARGV  1 the writer's format   2 its incarnation   3 the greatest generation it knows
--       4 the greatest token it knows   5 still writing back: 1, finished: 0
--       6 the sealing that it finished: sealed at, µs ('' = it had nothing to write back). If that is
--         another one than this, it has not finished.
--
-- Replies an array: a word, TIME in seconds and microseconds, generation, floor, sequence; then
--   SEALED  sealed at, µs
--   OPEN    It is open: nothing was noted.
--   WRITER  the least format that is allowed to write
local call = redis.call
local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'w')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local reply = {'OPEN', time[1], time[2], marker[2] or '0', marker[3] or '0', marker[4] or '0'}
if (tonumber(marker[5]) or 0) > tonumber(ARGV[1]) then
  reply[1], reply[7] = 'WRITER', marker[5]
  return reply
end
if marker[1] and marker[1] == replication then return reply end

local note = call('HMGET', KEYS[2], 'r', 't', 'g', 'k')
if note[1] ~= replication then
  call('UNLINK', KEYS[2])
  note = {replication, string.format('%.0f', time[1] * 1000000 + time[2]), '0', '0'}
end
local writing = ARGV[5]
if ARGV[6] ~= '' and ARGV[6] ~= note[2] then writing = '1' end
local function greater(one, other) return tonumber(one) > tonumber(other) and one or other end
call('HSET', KEYS[2], 'r', replication, 't', note[2], 'g', greater(ARGV[3], note[3] or '0'),
  'k', greater(ARGV[4], note[4] or '0'), 'w:' .. ARGV[2], writing)
reply[1], reply[7] = 'SEALED', note[2]
return reply
