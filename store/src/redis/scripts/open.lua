#!lua
-- Opens a sealed partition whose settle window is over.
--
-- KEYS  1 marker, 2 seal
-- ARGV  1 the writer's format   2 settle window, µs   3 settle window while somebody still writes
--       back, µs   4 PUBLISH or SPUBLISH   5 the channel   6 least format for writers from now on
--
-- Replies an array: a word, TIME in seconds and microseconds, generation, floor, sequence; then
--   OPEN       It is open, by this call or an earlier one.
--   NOTBEFORE  the instant from which it can be opened, µs
--   UNSIGNED   Nobody has signed, or only before another loss.
--   WRITER     the least format that is allowed to write
local call = redis.call
local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'w')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local generation, floor, sequence = marker[2] or '0', marker[3] or '0', marker[4] or '0'
if (tonumber(marker[5]) or 0) > tonumber(ARGV[1]) then
  return {'WRITER', time[1], time[2], generation, floor, sequence, marker[5]}
end
if marker[1] and marker[1] == replication then
  return {'OPEN', time[1], time[2], generation, floor, sequence}
end

local note = call('HMGET', KEYS[2], 'r', 't', 'g', 'k')
if note[1] ~= replication then return {'UNSIGNED', time[1], time[2], generation, floor, sequence} end
local micros, due = time[1] * 1000000 + time[2], note[2] + ARGV[2]
local fields = call('HGETALL', KEYS[2])
for at = 1, #fields, 2 do
  if string.sub(fields[at], 1, 2) == 'w:' and fields[at + 1] == '1' then
    due = math.max(due, note[2] + ARGV[3])
  end
end
if micros < due then
  return {'NOTBEFORE', time[1], time[2], generation, floor, sequence, string.format('%.0f', due)}
end

-- Where nobody knows of anything nothing was lost: it is a new store.
local known = marker[2] or note[3] ~= '0' or note[4] ~= '0'
generation = string.format('%.0f',
  math.max(tonumber(generation) + 1, tonumber(note[3]) + 1, math.floor(micros / 1000)))
floor = string.format('%.0f', math.max(tonumber(floor), tonumber(note[4]) + 1, micros))
call('HSET', KEYS[1], 'r', replication, 'g', generation, 'f', floor, 's', sequence,
  'w', math.max(tonumber(marker[5]) or 0, tonumber(ARGV[6])))
if known then call('HSET', KEYS[1], 'l', generation) end
call('UNLINK', KEYS[2])
redis.pcall(ARGV[4], ARGV[5], 'M')
return {'OPEN', time[1], time[2], generation, floor, sequence}
