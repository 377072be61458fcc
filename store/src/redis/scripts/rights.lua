#!lua flags=allow-oom
-- Tries every command that the other scripts run, on a scratch key.
--
-- KEYS  1 the scratch key, then one key of every other kind: running this needs a right to them
-- ARGV  1 PUBLISH or SPUBLISH   2 a channel
-- Replies an array: for each command that failed its name and why, in turn.
local key = KEYS[1]
local tries = {
  {'TIME'}, {'INFO', 'replication'},
  {'UNLINK', key}, {'SET', key, '1', 'PX', '1000'}, {'GET', key}, {'EXISTS', key}, {'RENAME', key, key},
  {'PEXPIRE', key, '1000'}, {'PERSIST', key}, {'UNLINK', key},
  {'HSET', key, 'a', '1'}, {'HGET', key, 'a'}, {'HMGET', key, 'a'}, {'HGETALL', key}, {'HLEN', key},
  {'HSCAN', key, '0'}, {'HINCRBY', key, 'a', '1'}, {'HDEL', key, 'a'}, {'UNLINK', key},
  {'ZADD', key, '1', 'a'}, {'ZRANGE', key, '0', '-1'}, {'ZRANGEBYSCORE', key, '0', '1'}, {'ZREM', key, 'a'},
  {'ZREMRANGEBYSCORE', key, '0', '1'}, {'UNLINK', key},
  {'LPUSH', key, 'a'}, {'LRANGE', key, '0', '-1'}, {'LTRIM', key, '0', '1'}, {'UNLINK', key},
  {ARGV[1], ARGV[2], 'P'},
}
local failed, seen = {}, {}
for _, try in ipairs(tries) do
  local answer = redis.pcall(unpack(try))
  if type(answer) == 'table' and answer.err and not seen[try[1]] then
    seen[try[1]] = true
    failed[#failed + 1] = try[1]
    failed[#failed + 1] = answer.err
  end
end
return failed
