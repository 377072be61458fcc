#!lua flags=allow-oom
-- Can a partition be used?
--
-- KEYS  1 marker, 2 seal
-- Replies an array: OPEN or SEALED, TIME in seconds and microseconds, generation, floor, sequence,
-- sealed at (µs; '' = not signed), or, if it is open, before when entries may be lost (ms; '' = none).
local call = redis.call
local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'l')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local open = marker[1] and marker[1] == replication
local when = open and marker[5] or ''
if not open then
  local note = call('HMGET', KEYS[2], 'r', 't')
  -- A note under another replication id is of another sealing.
  if note[1] == replication then when = note[2] or '' end
end
return {open and 'OPEN' or 'SEALED', time[1], time[2], marker[2] or '0', marker[3] or '0', marker[4] or '0', when}
