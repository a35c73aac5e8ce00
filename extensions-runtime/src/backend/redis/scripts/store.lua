-- Storing jobs. `first` is where they start in ARGV, four arguments each: id, shape, unique key, body.

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
      call('HSET', META, 'stamp', string.format('%.0f', us) .. '.' .. lane)
    end
    lanes[i] = tonumber(lane)
    queues[lanes[i]] = queue_in(names[i])
  end
  return lanes
end

-- What jobs of one shape have in common: all but their ids and places.
local function shape_of(text, lanes)
  local shape = {}
  local lane, priority, flags, delay
  lane, priority, flags, delay, shape.ttl, shape.once = unpk('>I4BBI6I6I6', text)
  shape.lane = lanes[lane]
  shape.state = delay > 0 and 's' or 'a'
  local run = later(delay)
  shape.score = string.format('%.0f', delay > 0 and run or priority * SPAN + run)
  shape.head = pack('>c1BBI4I4BB', shape.state, flags, priority, shape.lane, 0, 0, 0)
  shape.tail = pack('>I6I6I8c16', run, now, 0, NOBODY) .. shape.state .. pack('>I6', now)
  shape.key = delay > 0 and P .. 'due:' .. queues[shape.lane] or P .. 'r:' .. shape.lane
  return shape
end

local function store(first, n, lanes)
  local ids, duplicates = {}, {}
  for i = 1, n do ids[i] = ARGV[first + 4 * (i - 1)] end
  local stored = fetch('HMGET', P .. 'state', ids)
  local taken = call('EXISTS', P .. 'taken') == 1 and fetch('ZMSCORE', P .. 'taken', ids)
  local seq = call('HINCRBY', META, 'seq', n) - n
  local shapes, seen, sets = {}, {}, {}
  local states, bodies, listed, once = {}, {}, {}, {}
  for i = 1, n do
    local id = ids[i]
    if not stored[i] and not seen[id] and not (taken and taken[i] and tonumber(taken[i]) > now) then
      local at = first + 4 * (i - 1)
      local text, key = ARGV[at + 1], ARGV[at + 2]
      local shape = shapes[text]
      if not shape then
        shape = shape_of(text, lanes)
        shapes[text] = shape
        if not sets[shape.key] then sets[shape.key] = { n = 0, shape = shape } end
      end
      local holder = key ~= '' and lock(id, key, shape.ttl)
      if holder then
        duplicates[#duplicates + 1] = i
        duplicates[#duplicates + 1] = holder
      else
        seen[id] = true
        seq = seq + 1
        local place = pack('>I6', seq)
        local last = #states
        states[last + 1], states[last + 2] = id, shape.head .. place .. shape.tail
        bodies[last + 1], bodies[last + 2] = id, ARGV[at + 3]
        listed[last + 1], listed[last + 2] = 0, id
        local set = sets[shape.key]
        set.n = set.n + 1
        set[#set + 1] = shape.score
        set[#set + 1] = shape.state == 's' and id or place .. id
        if key ~= '' then call('HSET', P .. 'extras', id .. 'u', pack('>I6', shape.ttl) .. key) end
        if shape.once > 0 then
          once[#once + 1] = later(shape.once - 1)
          once[#once + 1] = id
        end
        shape.n = (shape.n or 0) + 1
      end
    end
  end
  bulk('HSET', P .. 'state', states)
  bulk('HSET', P .. 'body', bodies)
  bulk('ZADD', P .. 'ids', listed)
  bulk('ZADD', P .. 'taken', once)
  for key, set in pairs(sets) do
    if set.n > 0 then
      bulk('ZADD', key, set)
      local shape = set.shape
      local queue = queues[shape.lane]
      if shape.state == 'a' then call('SADD', P .. 'live:' .. queue, shape.lane) end
      wake(queue)
    end
  end
  for _, shape in pairs(shapes) do
    if shape.n then count(shape.lane, shape.state, shape.n) end
  end
  return duplicates
end
