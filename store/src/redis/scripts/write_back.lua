#!lua
-- Writes back a document that an instance has a copy of, where the store lost it.
--
-- Into a sealed partition: where it is absent or lower. Into an open one: only where nothing was
-- decided or confirmed since the opening: where it is absent, or lower and of an earlier
-- generation. A copy of the present generation that is absent was deleted, and stays so.
-- Versions are compared as pairs of numbers.
--
-- KEYS  1 marker, 2 changes, 3 the document, 4 its log, 5 its staged fields
-- ARGV  1 the writer's format   2 generation and   3 counter of the copy   4 its header
--       5 PUBLISH or SPUBLISH   6 the channel   7 the payload   8 the id in hex
--       9 1 = its fields were staged before, 0 = they follow: name, value, ...
--
-- Replies an array: a word, TIME in seconds and microseconds, generation, floor, sequence; then
--   TAKEN
--   SAME
--   NEWER   the version in the store, which stands
--   LOST    the version in the store ('' = absent), which stands since it was decided after the
--           opening
--   UNSTAGED  The staged fields are gone: stage them again.
--   WRITER  the least format that is allowed to write
local NONCES_BYTES, CHUNK = 256, 4000
local call, args = redis.call, ARGV
local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'w')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local generation, floor, sequence = marker[2] or '0', marker[3] or '0', marker[4] or '0'
local function answer(word, detail) return {word, time[1], time[2], generation, floor, sequence, detail} end
if (tonumber(marker[5]) or 0) > tonumber(args[1]) then return answer('WRITER', marker[5]) end

local open = marker[1] and marker[1] == replication
local stored = call('HGET', KEYS[3], 'v')
local copy_generation, copy_counter = tonumber(args[2]), tonumber(args[3])
if stored then
  local at_generation, at_counter = string.match(stored, '^(%d+)%.(%d+)$')
  at_generation, at_counter = tonumber(at_generation), tonumber(at_counter)
  if at_generation == copy_generation and at_counter == copy_counter then return answer('SAME') end
  if at_generation > copy_generation or (at_generation == copy_generation and at_counter > copy_counter) then
    return answer('NEWER', stored)
  end
  -- Committed since the opening, or confirmed (c).
  if open and (at_generation >= tonumber(generation) or call('HGET', KEYS[3], 'c') == generation) then
    return answer('LOST', stored)
  end
elseif open and copy_generation >= tonumber(generation) then
  return answer('LOST', '')
end

if args[9] == '1' then
  if call('EXISTS', KEYS[5]) == 0 then return answer('UNSTAGED') end
  call('RENAME', KEYS[5], KEYS[3])
  call('PERSIST', KEYS[3])
else
  call('UNLINK', KEYS[3])
  local first = 10
  while first <= #args do
    local last = math.min(#args, first + CHUNK - 1)
    call('HSET', KEYS[3], unpack(args, first, last))
    first = last + 1
  end
end
-- Which commits made it is not known any more: a full list of nobody's nonces.
call('HSET', KEYS[3], 'v', args[2] .. '.' .. args[3], 'h', args[4], 'n', string.rep('\0', NONCES_BYTES))
call('UNLINK', KEYS[4])
sequence = call('HINCRBY', KEYS[1], 's', 1)
call('ZADD', KEYS[2], sequence, args[8])
redis.pcall(args[5], args[6], sequence .. ' ' .. generation .. ' ' .. args[7])
return answer('TAKEN')
