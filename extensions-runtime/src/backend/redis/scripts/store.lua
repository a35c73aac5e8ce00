-- Storing jobs, which stand in ARGV in runs: shape, unique key, how many, then for each id and body.

-- The numbers of the lanes whose names stand in ARGV; new lanes get one.
local function lanes_at(first, n)
  local names, lanes = {}, {}
  for i = 1, n do names[i] = ARGV[first + i - 1] end
  local known = fetch('HMGET', P .. 'names', names)
  for i = 1, n do
    local lane = known[i]
    if not lane then
      lane = call('HINCRBY', META, 'lanes', 1)
      call('HSET', P .. 'names', names[i], lane)
      call('HSET', P .. 'lanes', lane, names[i])
      call('HSET', META, 'stamp', text(us) .. '.' .. lane)
    end
    lanes[i] = tonumber(lane)
    queues[lanes[i]] = queue_in(names[i])
  end
  return lanes
end

-- What jobs of one shape have in common: all but their ids and places.
local function shape_of(packed, lanes)
  local shape = {}
  local lane, priority, flags, delay
  lane, priority, flags, delay, shape.ttl, shape.once = unpk('>I4BBI6I6I6', packed)
  shape.lane = lanes[lane]
  shape.state = delay > 0 and 's' or 'a'
  local run = later(delay)
  shape.score = delay > 0 and text(run)
  shape.head = pack('>c1BBI4I4BB', shape.state, flags, priority, shape.lane, 0, 0, 0)
  shape.times = pack('>I6I6', run, now)
  shape.list = shape.lane .. '.' .. priority
  shape.key = P .. (delay > 0 and 'due:' .. queues[shape.lane] or 'r:' .. shape.list)
  return shape
end

-- Stores the jobs from `first` to `last` in ARGV; answers the duplicates: place, holder, …
local function store(first, last, lanes)
  local ids, at = {}, first
  while at <= last do
    local stop = at + 1 + 2 * tonumber(ARGV[at + 2])
    for of = at + 3, stop + 1, 2 do ids[#ids + 1] = ARGV[of] end
    at = stop + 2
  end
  local n = #ids
  local stored = fetch('HMGET', P .. 'jobs', ids)
  local taken = call('EXISTS', P .. 'taken') == 1 and fetch('ZMSCORE', P .. 'taken', ids)
  local seq = call('HINCRBY', META, 'seq', n) - n
  local shapes, seen, sets = {}, {}, {}
  local jobs, once, duplicates = {}, {}, {}
  local fresh, i = 0, 0
  at = first
  while at <= last do
    local key, size = ARGV[at + 1], tonumber(ARGV[at + 2])
    local shape = shapes[ARGV[at]]
    if not shape then
      shape = shape_of(ARGV[at], lanes)
      shapes[ARGV[at]] = shape
      shape.n = 0
      if not sets[shape.key] then sets[shape.key] = { shape = shape } end
    end
    local set, head, times, score = sets[shape.key], shape.head, shape.times, shape.score
    local entries, before = #set, fresh
    for body = at + 4, at + 2 + 2 * size, 2 do
      i = i + 1
      local id = ids[i]
      if not stored[i] and not seen[id] and not (taken and taken[i] and tonumber(taken[i]) > now) then
        local holder = key ~= '' and lock(id, key, shape.ttl)
        if holder then
          duplicates[#duplicates + 1] = i
          duplicates[#duplicates + 1] = holder
        else
          seen[id] = true
          seq = seq + 1
          local place, to = pack('>I6', seq) .. times, 2 * fresh
          fresh = fresh + 1
          jobs[to + 1], jobs[to + 2] = id, head .. place .. ARGV[body]
          if score then
            set[entries + 1], set[entries + 2] = score, id
            entries = entries + 2
          else
            entries = entries + 1
            set[entries] = place .. id
          end
          if key ~= '' then call('HSET', P .. 'extras', id .. 'u', pack('>I6', shape.ttl) .. key) end
          if shape.once > 0 then
            once[#once + 1] = text(later(shape.once - 1))
            once[#once + 1] = id
          end
        end
      end
    end
    shape.n = shape.n + fresh - before
    at = at + 3 + 2 * size
  end
  bulk('HSET', P .. 'jobs', jobs)
  bulk('ZADD', P .. 'taken', once)
  if is_listed() then
    for to = 1, #jobs, 2 do call('ZADD', P .. 'ids', 0, jobs[to]) end
  end
  for key, set in pairs(sets) do
    if #set > 0 then
      local shape = set.shape
      local queue = queues[shape.lane]
      bulk(shape.score and 'ZADD' or 'RPUSH', key, set)
      if not shape.score then call('SADD', P .. 'live:' .. queue, shape.list) end
      wake(queue)
    end
  end
  for _, shape in pairs(shapes) do
    if shape.n > 0 then count(shape.lane, shape.state, shape.n) end
  end
  return duplicates
end
