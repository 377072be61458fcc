#!lua
-- Can this server keep a lock now? Writes, and reads back.
--
-- KEYS  1 a key of any partition of the server
-- ARGV  1 what to write   2 how long it is kept, ms
-- Replies an array: PROBED, TIME in seconds and microseconds.
local time = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('ERR what was written cannot be read') end
return {'PROBED', time[1], time[2]}
