#!lua flags=allow-oom
-- Which documents were committed after a commit, oldest change first, some at a time. Answers for
-- sealed partitions too: what is there is what instances compare with.
--
-- KEYS  1 marker, 2 seal, 3 changes
-- ARGV  1 sequence: documents whose latest commit is later   2 documents at a time
--
-- Replies an array: OPEN or SEALED, TIME in seconds and microseconds, generation, floor, sequence,
-- sealed at (µs; '' = not signed) or, if it is open, before when entries may be lost (ms; '' = none), then ids and sequences in turn. If there are at least
-- as many as were asked for, there may be more after the last sequence; all of that one are here.
local call = redis.call
local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'l')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local open = marker[1] and marker[1] == replication
local note = call('HMGET', KEYS[2], 'r', 't')
local when = open and (marker[5] or '') or note[1] == replication and note[2] or ''
local reply = {open and 'OPEN' or 'SEALED', time[1], time[2], marker[2] or '0', marker[3] or '0', marker[4] or '0',
  when}

local most = tonumber(ARGV[2])
local found = call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, most)
for at = 1, #found do reply[#reply + 1] = found[at] end
if #found >= 2 * most then
  -- Documents of one commit share a sequence, and a page must not end between them.
  local last = found[#found]
  local all = call('ZRANGEBYSCORE', KEYS[3], last, last)
  for at = 1, #all do
    reply[#reply + 1] = all[at]
    reply[#reply + 1] = last
  end
end
return reply
