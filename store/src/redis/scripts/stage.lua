#!lua
-- Stages fields of a large document that is to be written back: nobody reads them before
-- write_back.lua moves them into place.
--
-- KEYS  1 the staged fields
-- ARGV  1 1 = the first of them, 0 = more   2 time until they are forgotten, ms   then name, value, ...
-- Replies an array: STAGED or UNSTAGED (the former ones are gone), TIME in seconds and microseconds.
local CHUNK = 4000
local time = redis.call('TIME')
if ARGV[1] == '1' then
  redis.call('UNLINK', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 0 then
  return {'UNSTAGED', time[1], time[2]}
end
local first = 3
while first <= #ARGV do
  local last = math.min(#ARGV, first + CHUNK - 1)
  redis.call('HSET', KEYS[1], unpack(ARGV, first, last))
  first = last + 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'STAGED', time[1], time[2]}
