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
    local kind = string.sub(name, 1, 1)
    odd[q] = odd[q] or {}
    table.insert(odd[q], { kind = kind, lane = lane, key = P .. kind .. ':' .. lane, owed = kind == 'o' or kind == 'p' })
  end
end

-- What was chosen: members of sorted sets and elements of lists, which end with the job's id.
local chosen, sources_of, got, claims = {}, {}, 0, 0

local function choose(member, source)
  local n = got - claims + 1
  chosen[n], sources_of[n] = member, source
  got = got + 1
end

local function emptied(source)
  if source.kind == 'r' then
    call('SREM', P .. 'live:' .. source.queue, source.name)
  else
    call('SREM', P .. 'odd', source.kind .. source.lane)
  end
end

local function alone(source)
  return source.kind == 's' or source.kind == 'l' or source.kind == 'p'
end

local function before(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.seq < b.seq
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
  local width = source.rank and 1 or 2
  if source.at > #source.read then
    if source.over then return nil end
    local to = source.taken + step - 1
    if source.rank then
      source.read = call('LRANGE', source.key, source.taken, to)
    else
      source.read = call('ZRANGE', source.key, source.taken, to, 'WITHSCORES')
    end
    source.at = 1
    source.seen = source.taken + #source.read / width
    source.over = #source.read < width * step
    if #source.read == 0 then return nil end
  end
  local member = source.read[source.at]
  source.member, source.seq = member, unpk('>I6', member)
  source.score = source.rank and source.rank + unpk('>I6', member, 7) or tonumber(source.read[source.at + 1])
  source.at = source.at + width
  return source
end

local function remove(source, n)
  if source.rank then
    call('LTRIM', source.key, n, -1)
  else
    call('ZREMRANGEBYRANK', source.key, 0, n - 1)
  end
end

-- Takes the first jobs of the sources in their common order. True when nothing more may be taken.
local function merge(sources)
  if #sources == 1 and not alone(sources[1]) then
    local source, want = sources[1], max - got
    local first
    if source.rank then
      first = call('LPOP', source.key, want) or {}
    else
      first = call('ZRANGE', source.key, 0, want - 1)
      if #first > 0 then remove(source, #first) end
    end
    local n, all = got - claims, sources_of
    for i = 1, #first do all[n + i] = source end
    if n == 0 then
      chosen = first
    else
      for i = 1, #first do chosen[n + i] = first[i] end
    end
    got = got + #first
    if #first < want then emptied(source) end
    return got >= max
  end
  local step = math.max(4, math.ceil(2 * (max - got) / #sources))
  local heap = {}
  for _, source in ipairs(sources) do
    source.taken, source.seen, source.at, source.read = 0, 0, 1, {}
    if advance(source, step) then heap[#heap + 1] = source end
  end
  for at = math.floor(#heap / 2), 1, -1 do sift(heap, at) end
  local full = false
  while #heap > 0 and not full do
    local source = heap[1]
    if alone(source) and got > 0 then
      full = true
      break
    end
    choose(source.member, source)
    source.taken = source.taken + 1
    full = alone(source) or got >= max
    if not full then
      if not advance(source, step) then
        heap[1] = heap[#heap]
        heap[#heap] = nil
      end
      if #heap > 0 then sift(heap, 1) end
    end
  end
  for _, source in ipairs(sources) do
    if source.taken > 0 then remove(source, source.taken) end
    if source.over and source.taken == source.seen then emptied(source) end
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

local function choose_all()
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
      for _, name in ipairs(call('SMEMBERS', P .. 'live:' .. queue)) do
        local lane, priority = string.match(name, '^(%d+)%.?(%d*)$')
        lane, priority = tonumber(lane), tonumber(priority)
        if asked(lane) == q then
          sources[#sources + 1] = {
            kind = 'r', lane = lane, name = name, key = P .. 'r:' .. name, queue = queue,
            -- Those of a list only.
            priority = priority, rank = priority and priority * SPAN, heads = {},
            stale = priority and call('HEXISTS', P .. 'stale', name) == 1,
          }
        end
      end
      if #sources > 0 and merge(sources) then return end
    end
  end
end

local til, running = later(lease), 'r' .. pack('>I6', now)
local HOLDER = worker .. pack('>I6', til)
local changed, held, claimed, claims_of = {}, {}, {}, {}
-- Calls of functions in C are what takes the time here, so they are few.
local BYTES, char, low = pack('>I6', math.floor(base / 65536)), string.char, base % 65536

-- The token of the next claim.
local function token()
  local at = low + claims
  return BYTES .. char((at - at % 256) / 256, at % 256)
end

-- The state of a job from a list, which was in no other state yet.
local function first_claim(source, id, flags, place, pushed)
  local head = source.heads[flags]
  if not head then
    head = pack('>c1BBI4I4BB', 'r', flags, source.priority, source.lane, 1, 0, 0)
    source.heads[flags] = head
  end
  if flags ~= 0 and band(flags, UNTIL_START) ~= 0 then unlock({ id = id, flags = flags }) end
  return head .. place .. pushed .. token() .. HOLDER .. 'a' .. pushed .. running
end

local function next_claim(source, id, s)
  if source.owed then return string.sub(s, 1, 31) .. token() .. HOLDER .. string.sub(s, 62) end
  local flags = string.byte(s, 2)
  if band(flags, UNTIL_START) ~= 0 then unlock({ id = id, flags = flags }) end
  if band(flags, EXTRAS) ~= 0 then call('HDEL', P .. 'extras', id .. 'p') end
  flags = bit.bor(band(flags, 255 - STARTED), 2 * band(flags, SUSPECT))
  local first, attempt, rest = unpk('>c5I4c20', s, 3)
  return pack('>c1Bc5I4c20', 'r', flags, first, attempt + 1, rest) .. token() .. HOLDER .. entered(string.sub(s, 62), 'r')
end

-- Claims what was chosen, but for elements whose jobs left their list; how many these were.
local function claim_chosen()
  local ids, places, pushes, touched, passed = {}, {}, {}, {}, 0
  for i = 1, got - claims do
    if sources_of[i].rank then
      places[i], pushes[i], ids[i] = unpk('c12c6c16', chosen[i])
    else
      ids[i] = string.sub(chosen[i], 7)
      touched[#touched + 1] = ids[i]
    end
  end
  local jobs, states, at = fetch('HMGET', P .. 'jobs', ids), fetch('HMGET', P .. 'state', touched), 0
  for i = 1, #ids do
    local id, source, job, s, errors = ids[i], sources_of[i], jobs[i] or '', nil, ''
    if source.rank then
      local letter, flags = byte(job, 1, 2)
      if letter == 97 and (not source.stale or waits(places[i] .. pushes[i], job)) then
        s = first_claim(source, id, flags or 0, places[i], pushes[i])
      else
        passed = passed + 1
        stale(source.name, -1)
      end
    else
      at = at + 1
      s = states[at] and next_claim(source, id, states[at])
      if source.owed then errors = call('HGET', P .. 'extras', id .. 'e') or '' end
    end
    if s then
      local two, four = 2 * claims, 4 * claims
      claims = claims + 1
      if not source.owed then claims_of[source.lane] = (claims_of[source.lane] or 0) + 1 end
      changed[two + 1], changed[two + 2] = id, s
      held[claims] = id
      claimed[four + 1], claimed[four + 2], claimed[four + 3], claimed[four + 4] = id, s, job, errors
    end
  end
  chosen, sources_of, got = {}, {}, claims
  return passed
end

-- How much may be passed over; what is left after that is for the next claim, which is to be made at once.
local patience = 5000
while got < max and patience > 0 do
  choose_all()
  local passed = claim_chosen()
  if passed == 0 then break end
  patience = patience - passed - 25
end
for lane, n in pairs(claims_of) do
  count(lane, 'a', -n)
  count(lane, 'r', n)
end
bulk('HSET', P .. 'state', changed)
if claims > 0 then
  bulk('SADD', P .. 'held:' .. worker, held)
  call('ZADD', P .. 'holders', 'LT', text(til), worker)
end

local due = patience > 0 and -1 or 0
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
