#!lua
-- An instance says that it lives, and hears who else does.
--
-- KEYS  1 instances: a sorted set of records by the instant until which they hold, µs
-- ARGV  1 its record ('' = none)   2 how long it holds, µs; 0 = take it back
--
-- Replies an array: INSTANCES, TIME in seconds and microseconds, then records and instants in turn.
local call = redis.call
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
if ARGV[1] ~= '' then
  if ARGV[2] == '0' then
    call('ZREM', KEYS[1], ARGV[1])
  else
    call('ZADD', KEYS[1], string.format('%.0f', micros + ARGV[2]), ARGV[1])
  end
end
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', micros))
local reply = {'INSTANCES', time[1], time[2]}
local found = call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for at = 1, #found do reply[at + 3] = found[at] end
return reply
