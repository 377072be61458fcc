#!lua flags=allow-oom
-- Reads one document: whole if it has few fields, else page by page.
--
-- While the pages of a large document are read, it may change. Each page therefore comes with the
-- version at that moment and the commits since the page before: applied to what was read so far,
-- and then the page put over it, they make the document as it is at the last page.
-- No flag no-writes, though it writes nothing: a replica must refuse it.
--
-- KEYS  1 marker, 2 the document, 3 its log
-- ARGV  1 the reader's format   2 cursor of the next page ('' = the beginning)
--       3 version at the page before ('' = none)   4 fields that are read at once
--
-- Replies are arrays: a word, TIME in seconds and microseconds, generation, floor, sequence; then
--   NONE    There is no such document.
--   WHOLE   version, header, all fields (name, value, ...; names of one byte are not for readers)
--   PAGE    version, header, some fields, next cursor ('0' = this was the last page), payloads of
--           the commits since the page before, newest first (if the log does not have all of them,
--           these do not join up: begin again)
--   SEALED  the marker is missing or was made under another replication id
--   WRITER  the least format that is allowed
local LOG_MAX = 64
local call, args = redis.call, ARGV

local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'w')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local reply = {'SEALED', time[1], time[2], marker[2] or '0', marker[3] or '0', marker[4] or '0'}
if not marker[1] or marker[1] ~= replication then return reply end
if (tonumber(marker[5]) or 0) > tonumber(args[1]) then
  reply[1], reply[7] = 'WRITER', marker[5]
  return reply
end

local document = call('HMGET', KEYS[2], 'v', 'h')
local version = document[1]
if not version then
  reply[1] = 'NONE'
  return reply
end
reply[7], reply[8] = version, document[2] or ''
local most = tonumber(args[4])
if args[2] == '' and call('HLEN', KEYS[2]) <= most then
  reply[1], reply[9] = 'WHOLE', call('HGETALL', KEYS[2])
  return reply
end
local since = {}
if args[3] ~= '' and args[3] ~= version then
  -- Counters grow by one: no more commits than this lie between the two versions.
  local steps = tonumber(string.match(version, '%d+$')) - tonumber(string.match(args[3], '%d+$'))
  if steps > 0 and steps <= LOG_MAX then since = call('LRANGE', KEYS[3], 0, steps - 1) end
end
local page = call('HSCAN', KEYS[2], args[2] == '' and '0' or args[2], 'COUNT', most)
reply[1], reply[9], reply[10], reply[11] = 'PAGE', page[2], page[1], since
return reply
