-- What every script starts with: the keys, the server's time, counters and wake-ups.
local call, pack, unpk, byte = redis.call, struct.pack, struct.unpack, string.byte
local P = KEYS[1] .. ':'
local META = P .. 'meta'
local clock = call('TIME')
local us = clock[1] * 1000000 + clock[2]
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- Scores are 2^44 * priority + milliseconds, exact in a double.
local SPAN = 17592186044416

local function later(ms)
  return math.min(now + ms, SPAN - 1)
end

-- A variadic command with any number of arguments; an even number of them at a time.
local function bulk(command, key, args)
  local n = #args
  for first = 1, n, 4000 do
    call(command, key, unpack(args, first, math.min(first + 3999, n)))
  end
end

-- The same for commands that answer one value for each argument.
local function fetch(command, key, args)
  local n = #args
  if n == 0 then return {} end
  if n <= 4000 then return call(command, key, unpack(args)) end
  local all = {}
  for first = 1, n, 4000 do
    local part = call(command, key, unpack(args, first, math.min(first + 3999, n)))
    for i = 1, #part do all[first + i - 1] = part[i] end
  end
  return all
end

-- Numbers as arguments are slow: the server writes each with seventeen digits.
local function text(number)
  return string.format('%.0f', number)
end

-- The token, the worker and the end of the lease of a job under no claim.
local NO_TOKEN, NOBODY = string.rep('\0', 8), string.rep('\0', 16)
local NO_CLAIM = NO_TOKEN .. NOBODY .. string.rep('\0', 6)

-- The state of a job that did not change since its push. It stands in `jobs`, up to when that was, before what never changes; that of a
-- job that changed stands in `state`.
local function first_state(job)
  return string.sub(job, 1, 31) .. NO_CLAIM .. string.sub(job, 1, 1) .. string.sub(job, 26, 31)
end

local function states_of(ids)
  local states, fresh = fetch('HMGET', P .. 'state', ids), {}
  for i = 1, #ids do
    if not states[i] then fresh[#fresh + 1] = ids[i] end
  end
  local jobs, at = fetch('HMGET', P .. 'jobs', fresh), 0
  for i = 1, #ids do
    if not states[i] then
      at = at + 1
      states[i] = jobs[at] and first_state(jobs[at])
    end
  end
  return states
end

-- Whether a job waits at a place of a list. The others left it before they were claimed: they are marked, or gone.
local function waits(place, job)
  return job and byte(job) == 97 and string.sub(job, 14, 31) == place
end

local counts = {}

local function count(lane, state, by)
  local lanes = counts[state]
  if not lanes then
    lanes = {}
    counts[state] = lanes
  end
  lanes[lane] = (lanes[lane] or 0) + by
end

local function flush_counts()
  for state, lanes in pairs(counts) do
    for lane, by in pairs(lanes) do
      if by ~= 0 then call('HINCRBY', P .. 'counts', lane .. state, by) end
    end
  end
end

local listed

-- Whether the index of ids is kept now: it is made for those who list, and goes a while after the last of them.
local function is_listed()
  if listed == nil then listed = call('HEXISTS', META, 'listed') == 1 end
  return listed
end

local queues = {}

-- A lane's name starts with the length of its queue's.
local function queue_in(name)
  return string.sub(name, 5, 4 + unpk('>I4', name))
end

local function queue_of(lane)
  local queue = queues[lane]
  if not queue then
    local name = call('HGET', P .. 'lanes', lane)
    queue = name and queue_in(name) or ''
    queues[lane] = queue
  end
  return queue
end

local woken = {}

local function wake(queue)
  woken[queue] = true
end

local function flush_wakes()
  for queue in pairs(woken) do rouse(queue, us) end
end
