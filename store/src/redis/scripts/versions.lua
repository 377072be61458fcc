#!lua flags=allow-oom
-- The versions of some documents of one partition, open or sealed.
--
-- KEYS  the documents, at least one
-- Replies an array: VERSIONS, TIME in seconds and microseconds, then a version for each ('' = absent).
local time = redis.call('TIME')
local reply = {'VERSIONS', time[1], time[2]}
for at = 1, #KEYS do reply[at + 3] = redis.call('HGET', KEYS[at], 'v') or '' end
return reply
