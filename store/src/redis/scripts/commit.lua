#!lua
-- Checks a commit of one partition, and writes all of it or nothing.
--
-- No rule of locks is here: versions are compared, bytes are stored. Nothing is written before
-- every check has passed, so a script that fails early has done nothing.
--
-- KEYS  1 marker, 2 changes
--       then for each delta: the document, its log
--       then for each check: the document
-- ARGV  1 the writer's format            2 the generation it knows   3 the floor it decided by
--       4 raise the floor to ('' = not)  5 its now, µs               6 its time window, µs
--       7 its nonce, 8 bytes             8 its incarnation, decimal  9 its round trip, µs
--      10 life of a loser's mark, µs    11 PUBLISH or SPUBLISH      12 the channel
--      13 the payload                   14 number of deltas         15 number of checks
--       then for each delta: the id in hex, the expected version ('' = absent), the next version
--       ('' = delete), the header, number of arguments that put fields (two for each), number of
--       fields to remove, the former (name, value, ...), the latter (name, ...)
--       then for each check: the expected version ('' = absent)
--
-- Replies are arrays: a word, TIME in seconds and microseconds, generation, floor, sequence; then
--   DONE    replication id, and for each live mark of another loser: number of its delta, its
--           round trip in µs
--   MOVED   replication id, and for each document with another version: its number (deltas
--           first, from 1), its version ('' = absent), nonces that it remembers (-1 = of a check),
--           the payloads of its latest commits (newest first; as many as may lead here from the
--           expected version). None: the generation or the floor is another than was known.
--   ALREADY the same. This very commit was carried out before.
--   LATE    now is farther off TIME than the window
--   SEALED  the marker is missing or was made under another replication id
--   WRITER  the least format that is allowed to write
local NONCE, NONCES, LOG_MAX, LOG_BYTES_MAX, LOG_MS = 8, 32, 64, 65536, 60000
-- Beyond this many fields (and v, h, n, x, c) it pays to keep a log.
local LOG_FIELDS = 37
-- Arguments of one HSET or HDEL: what Lua's stack takes with ease.
local CHUNK = 4000
local call, args = redis.call, ARGV

local marker = call('HMGET', KEYS[1], 'r', 'g', 'f', 's', 'w')
local time = call('TIME')
local replication = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local generation, floor = marker[2], marker[3]
if not marker[1] or marker[1] ~= replication then
  return {'SEALED', time[1], time[2], generation or '0', floor or '0', marker[4] or '0'}
end
if (tonumber(marker[5]) or 0) > tonumber(args[1]) then
  return {'WRITER', time[1], time[2], generation, floor, marker[4], marker[5]}
end

local deltas, checks = tonumber(args[14]), tonumber(args[15])
local found, moved, aged, creates = {}, nil, nil, false
local at, key = 16, 3
for number = 1, deltas do
  local document = call('HMGET', KEYS[key], 'v', 'n', 'x')
  found[number] = document
  local expected = args[at + 1]
  if expected == '' then creates = true end
  if (document[1] or '') ~= expected then
    moved = moved or {}
    moved[#moved + 1] = {number, key, expected, document}
  end
  at, key = at + 6 + args[at + 4] + args[at + 5], key + 2
end
for number = 1, checks do
  local version = call('HGET', KEYS[key], 'v')
  if (version or '') ~= args[at] then
    moved = moved or {}
    moved[#moved + 1] = {deltas + number, nil, args[at], {version}}
  elseif version and string.sub(version, 1, #generation + 1) ~= generation .. '.' then
    aged = aged or {}
    aged[#aged + 1] = KEYS[key]
  end
  at, key = at + 1, key + 1
end

local micros = time[1] * 1000000 + time[2]
if moved then
  local word, nonce = 'MOVED', args[7]
  for _, one in ipairs(moved) do
    local ring = one[4][2] or ''
    local place = string.find(ring, nonce, 1, true)
    while place do
      if place % NONCE == 1 then word = 'ALREADY' end
      place = string.find(ring, nonce, place + 1, true)
    end
  end
  local reply = {word, time[1], time[2], generation, floor, marker[4], replication}
  for _, one in ipairs(moved) do
    local document, since = one[4], {}
    local version = document[1]
    if word == 'MOVED' and one[2] and version then
      -- Counters grow by one: no more commits than this lie between the two versions.
      local steps = tonumber(string.match(version, '%d+$')) - (tonumber(string.match(one[3], '%d+$')) or 0)
      if steps > 0 and steps <= LOG_MAX then
        since = call('LRANGE', KEYS[one[2] + 1], 0, steps - 1)
      end
      -- A living loser keeps its mark.
      local until_micros = document[3] and tonumber(string.match(document[3], '%d+$')) or 0
      if until_micros < micros then
        call('HSET', KEYS[one[2]], 'x',
          args[8] .. ' ' .. args[9] .. ' ' .. string.format('%.0f', micros + args[10]))
      end
    end
    reply[#reply + 1] = one[1]
    reply[#reply + 1] = version or ''
    reply[#reply + 1] = one[2] and #(document[2] or '') / NONCE or -1
    reply[#reply + 1] = since
  end
  return reply
end
if args[2] ~= generation or (creates and tonumber(floor) > tonumber(args[3])) then
  return {'MOVED', time[1], time[2], generation, floor, marker[4], replication}
end
if math.abs(micros - args[5]) > tonumber(args[6]) then
  return {'LATE', time[1], time[2], generation, floor, marker[4]}
end

-- What was confirmed of a document from before the last opening must outlive a late write-back.
if aged then
  for _, document in ipairs(aged) do
    if call('HGET', document, 'c') ~= generation then call('HSET', document, 'c', generation) end
  end
end
local raised = args[4] ~= '' and tonumber(args[4]) > tonumber(floor)
if deltas == 0 and not raised then
  return {'DONE', time[1], time[2], generation, floor, marker[4], replication}
end

-- From here on everything is written.
if raised then
  floor = args[4]
  call('HSET', KEYS[1], 'f', floor)
end
local sequence = call('HINCRBY', KEYS[1], 's', 1)
local reply = {'DONE', time[1], time[2], generation, floor, sequence, replication}
at, key = 16, 3
for number = 1, deltas do
  local document = found[number]
  local puts, removes = tonumber(args[at + 4]), tonumber(args[at + 5])
  local first = at + 6
  if args[at + 2] == '' then
    call('UNLINK', KEYS[key], KEYS[key + 1])
    call('ZREM', KEYS[2], args[at])
  else
    call('ZADD', KEYS[2], sequence, args[at])
    local ring = (document[2] or '') .. args[7]
    if #ring > NONCE * NONCES then ring = string.sub(ring, NONCE + 1) end
    local last = math.min(puts, CHUNK)
    call('HSET', KEYS[key], 'v', args[at + 2], 'h', args[at + 3], 'n', ring, unpack(args, first, first + last - 1))
    while last < puts do
      local stop = math.min(puts, last + CHUNK)
      call('HSET', KEYS[key], unpack(args, first + last, first + stop - 1))
      last = stop
    end
    local removed = 0
    while removed < removes do
      local stop = math.min(removes, removed + CHUNK)
      call('HDEL', KEYS[key], unpack(args, first + puts + removed, first + puts + stop - 1))
      removed = stop
    end
    if document[3] then
      local loser, trip, until_micros = string.match(document[3], '^(%d+) (%d+) (%d+)$')
      if loser == args[8] or not until_micros or tonumber(until_micros) < micros then
        call('HDEL', KEYS[key], 'x')
      else
        reply[#reply + 1] = number
        reply[#reply + 1] = trip
      end
    end
    if #args[13] <= LOG_BYTES_MAX and call('HLEN', KEYS[key]) > LOG_FIELDS then
      call('LPUSH', KEYS[key + 1], args[13])
      call('LTRIM', KEYS[key + 1], 0, LOG_MAX - 1)
      call('PEXPIRE', KEYS[key + 1], LOG_MS)
    end
  end
  at, key = first + puts + removes, key + 2
end
-- A hint: that it could not be given must not look as if the commit had failed.
redis.pcall(args[11], args[12], sequence .. ' ' .. generation .. ' ' .. args[13])
return reply
