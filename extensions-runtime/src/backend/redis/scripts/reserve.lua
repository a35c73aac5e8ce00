-- ARGV: worker, first token, max, lease, which lost jobs, stamp of the lanes, the lanes' queues, queues.
-- Answers the lanes where the stamp is old, else { generation, next due, now, jobs }, with four parts for each: id, state,
-- body, errors.
local worker, base, max, lease, take = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local mask, FIRST = ARGV[7], 8
local fields = { 'stamp' }
for q = FIRST, #ARGV do
  fields[#fields + 1] = 'paused:' .. ARGV[q]
end
local meta = fetch('HMGET', META, fields)
if (meta[1] or '0') ~= ARGV[6] then return { 'lanes', meta[1] or '0', call('HGETALL', P .. 'lanes') } end
if call('EXISTS', P .. 'void:' .. ARGV[2]) == 1 then return { '0', -1, now, {} } end

local promoted = 0
for q = FIRST, #ARGV do
  promoted = promoted + promote(ARGV[q], 200 + max)
end

-- Two bytes for each lane: which of the queues it belongs to, 0 for a lane that was not asked for.
local function asked(lane)
  local high, low = string.byte(mask, 2 * lane - 1, 2 * lane)
  return low and high * 256 + low or 0
end

local odd = {}
for _, name in ipairs(call('SMEMBERS', P .. 'odd')) do
  local lane = tonumber(string.sub(name, 2))
  local q = asked(lane)
  if q > 0 then
    odd[q] = odd[q] or {}
    table.insert(odd[q], { kind = string.sub(name, 1, 1), lane = lane, key = P .. string.sub(name, 1, 1) .. ':' .. lane })
  end
end

local ids, sources_of = {}, {}

local function choose(member, source)
  local n = #ids + 1
  ids[n], sources_of[n] = string.sub(member, 7), source
end

local function emptied(source)
  if source.kind == 'r' then
    call('SREM', P .. 'live:' .. source.queue, source.lane)
  else
    call('SREM', P .. 'odd', source.kind .. source.lane)
  end
end

local function alone(source)
  return source.kind == 's' or source.kind == 'l' or source.kind == 'p'
end

local function before(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.member < b.member
end

local function sift(heap, at)
  local n, item = #heap, heap[at]
  while true do
    local child = 2 * at
    if child > n then break end
    if child < n and before(heap[child + 1], heap[child]) then child = child + 1 end
    if not before(heap[child], item) then break end
    heap[at] = heap[child]
    at = child
  end
  heap[at] = item
end

-- The next job of a source, read in steps; nil at its end.
local function advance(source, step)
  if source.at > #source.read then
    if source.over then return nil end
    source.read = call('ZRANGE', source.key, source.taken, source.taken + step - 1, 'WITHSCORES')
    source.at = 1
    source.over = #source.read < 2 * step
    if #source.read == 0 then return nil end
  end
  source.member, source.score = source.read[source.at], tonumber(source.read[source.at + 1])
  return source
end

-- Takes the first jobs of the sources in their common order. True when nothing more may be taken.
local function merge(sources)
  if #sources == 1 and not alone(sources[1]) then
    local source, want = sources[1], max - #ids
    local first = call('ZRANGE', source.key, 0, want - 1)
    for i = 1, #first do choose(first[i], source) end
    if #first > 0 then call('ZREMRANGEBYRANK', source.key, 0, #first - 1) end
    if #first < want then emptied(source) end
    return #ids >= max
  end
  local step = math.max(4, math.ceil(2 * (max - #ids) / #sources))
  local heap = {}
  for _, source in ipairs(sources) do
    source.taken, source.at, source.read = 0, 1, {}
    if advance(source, step) then heap[#heap + 1] = source end
  end
  for at = math.floor(#heap / 2), 1, -1 do sift(heap, at) end
  local full = false
  while #heap > 0 and not full do
    local source = heap[1]
    if alone(source) and #ids > 0 then
      full = true
      break
    end
    choose(source.member, source)
    source.taken = source.taken + 1
    source.at = source.at + 2
    full = alone(source) or #ids >= max
    if not full then
      if not advance(source, step) then
        heap[1] = heap[#heap]
        heap[#heap] = nil
      end
      if #heap > 0 then sift(heap, 1) end
    end
  end
  for _, source in ipairs(sources) do
    if source.taken > 0 then call('ZREMRANGEBYRANK', source.key, 0, source.taken - 1) end
    if source.over and source.at > #source.read then emptied(source) end
  end
  return full
end

-- The shelves of special jobs that this request may take from.
local function shelves(q, kinds)
  local sources = {}
  for _, source in ipairs(odd[q] or {}) do
    if string.find(kinds, source.kind, 1, true) then sources[#sources + 1] = source end
  end
  return sources
end

local function claim_all()
  for q = 1, #ARGV - FIRST + 1 do
    if not meta[q + 1] then
      local sources = shelves(q, take > 0 and 'op' or 'o')
      if #sources > 0 and merge(sources) then return end
    end
  end
  for q = 1, #ARGV - FIRST + 1 do
    if not meta[q + 1] then
      local queue = ARGV[FIRST + q - 1]
      local sources = shelves(q, take == 2 and 'sl' or take == 1 and 's' or '')
      for _, lane in ipairs(call('SMEMBERS', P .. 'live:' .. queue)) do
        if asked(tonumber(lane)) == q then
          sources[#sources + 1] = { kind = 'r', lane = tonumber(lane), key = P .. 'r:' .. lane, queue = queue }
        end
      end
      if #sources > 0 and merge(sources) then return end
    end
  end
end

if max > 0 then claim_all() end

local claimed = {}
if #ids > 0 then
  local states = fetch('HMGET', P .. 'state', ids)
  local bodies = fetch('HMGET', P .. 'body', ids)
  local changed, held = {}, {}
  local til, running = text(now + lease), 'r' .. pack('>I6', now)
  for i = 1, #ids do
    local id, s, source = ids[i], states[i], sources_of[i]
    if s then
      local flags = string.byte(s, 2)
      local errors = ''
      if source.kind == 'o' or source.kind == 'p' then
        s = string.sub(s, 1, 31) .. pack('>I8', base + i - 1) .. worker .. string.sub(s, 56)
        errors = call('HGET', P .. 'extras', id .. 'e') or ''
      else
        if flags ~= 0 then
          if band(flags, UNTIL_START) ~= 0 then unlock({ id = id, flags = flags }) end
          if band(flags, EXTRAS) ~= 0 then call('HDEL', P .. 'extras', id .. 'p') end
          flags = bit.bor(band(flags, 255 - STARTED), 2 * band(flags, SUSPECT))
        end
        count(source.lane, 'a', -1)
        count(source.lane, 'r', 1)
        local first, attempt, rest = unpk('>c5I4c20', s, 3)
        -- One that was only in one state was not running before.
        local states = #s == 62 and string.sub(s, 56) .. running or entered(string.sub(s, 56), 'r')
        s = pack('>c1Bc5I4c20I8', 'r', flags, first, attempt + 1, rest, base + i - 1) .. worker .. states
      end
      local n = #changed
      changed[n + 1], changed[n + 2] = id, s
      held[n + 1], held[n + 2] = til, id
      n = #claimed
      claimed[n + 1], claimed[n + 2], claimed[n + 3], claimed[n + 4] = id, s, bodies[i] or '', errors
    end
  end
  bulk('HSET', P .. 'state', changed)
  if #held > 0 then
    bulk('ZADD', P .. 'held:' .. worker, held)
    call('ZADD', P .. 'holders', 'LT', til, worker)
  end
end

local due = -1
for q = FIRST, #ARGV do
  local head = call('ZRANGE', P .. 'due:' .. ARGV[q], 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(tonumber(head[2]) - now, 0)
    if due < 0 or left < due then due = left end
  end
end

flush_counts()
if promoted > 0 then flush_wakes() end
local idle = {}
for q = FIRST, #ARGV do
  idle[#idle + 1] = 'idle:' .. ARGV[q]
  idle[#idle + 1] = 1
end
bulk('HSET', META, idle)
return { call('HGET', META, 'gen') or '0', due, now, claimed }
