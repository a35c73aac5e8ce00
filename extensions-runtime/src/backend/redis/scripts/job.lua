-- A job's mutable half, and the one index that it stands in.
local SUSPECT, STARTED, OWES, ON_FAILURE, UNIQUE, UNTIL_START, EXTRAS, CANCEL = 1, 2, 4, 8, 16, 32, 64, 128
local FORM = '>c1BBI4I4BBI6I6I6I8c16I6'
local FINISHED = { c = 'completed', x = 'cancelled', d = 'dead', q = 'dead' }
local band = bit.band

local function has(j, flag) return band(j.flags, flag) ~= 0 end
local function set(j, flag) j.flags = bit.bor(j.flags, flag) end
local function clear(j, flag) j.flags = band(j.flags, bit.bnot(flag)) end

local function decode(id, s)
  local j = { id = id }
  j.state, j.flags, j.priority, j.lane, j.attempt, j.lost, j.callbacks, j.seq, j.run, j.pushed, j.token, j.worker, j.til =
    unpk(FORM, s)
  j.entered = string.sub(s, 62)
  return j
end

local function encode(j)
  return pack(FORM, j.state, j.flags, j.priority, j.lane, j.attempt, j.lost, j.callbacks, j.seq, j.run, j.pushed, j.token,
    j.worker, j.til) .. j.entered
end

-- The times at which states were entered: a letter and six bytes each.
local function entered(list, state)
  for i = 1, #list, 7 do
    if string.sub(list, i, i) == state then
      return string.sub(list, 1, i) .. pack('>I6', now) .. string.sub(list, i + 7)
    end
  end
  return list .. state .. pack('>I6', now)
end

local function ended_at(j)
  for i = 1, #j.entered, 7 do
    if string.sub(j.entered, i, i) == j.state then return (unpk('>I6', j.entered, i + 1)) end
  end
  return now
end

local function enter(j, state)
  j.state = state
  j.entered = entered(j.entered, state)
end

local function free(j)
  j.token, j.worker, j.til = 0, NOBODY, 0
end

local function shelf(j)
  if has(j, OWES) then return has(j, SUSPECT) and 'p' or 'o' end
  if j.state ~= 'a' then return nil end
  if j.lost > 0 then return 'l' end
  return has(j, SUSPECT) and 's' or 'r'
end

local function ready(lane, priority, run, member)
  call('ZADD', P .. 'r:' .. lane, priority * SPAN + run, member)
  call('SADD', P .. 'live:' .. queue_of(lane), lane)
end

-- How many elements of a list are of jobs that left it.
local function stale(list, by)
  local n = call('HINCRBY', P .. 'stale', list, by)
  if n <= 0 then call('HDEL', P .. 'stale', list) end
  return n
end

-- Takes a job out of a list: it is marked, and its element stays until someone comes upon it. Where more than half of a list is such
-- elements, the first few of it go, those of jobs that wait to the sorted set.
local function unlist(id, job, list)
  call('HSET', P .. 'jobs', id, '-' .. string.sub(job, 2))
  local n = stale(list, 1)
  if n < 100 or 2 * n < call('LLEN', P .. 'r:' .. list) then return end
  for _, element in ipairs(call('LPOP', P .. 'r:' .. list, 4) or {}) do
    local other = string.sub(element, 19)
    job = call('HGET', P .. 'jobs', other)
    if waits(string.sub(element, 1, 18), job) then
      call('HSET', P .. 'state', other, first_state(job))
      call('HSET', P .. 'jobs', other, '-' .. string.sub(job, 2))
      local priority, lane = unpk('>BI4', job, 3)
      ready(lane, priority, unpk('>I6', job, 20), string.sub(element, 1, 6) .. other)
    else
      stale(list, -1)
    end
  end
end

local function unindex(j)
  if j.token ~= 0 then
    call('SREM', P .. 'held:' .. j.worker, j.id)
  elseif j.state == 's' or j.state == 't' then
    call('ZREM', P .. 'due:' .. queue_of(j.lane), j.id)
  else
    local kind = shelf(j)
    if j.listed then
      unlist(j.id, j.listed, j.lane .. '.' .. j.priority)
      j.listed = nil
    elseif kind then
      call('ZREM', P .. kind .. ':' .. j.lane, pack('>I6', j.seq) .. j.id)
    elseif FINISHED[j.state] then
      call('ZREM', P .. 'ended:' .. FINISHED[j.state], j.id)
    end
  end
end

-- For a job under no claim.
local function index(j)
  local queue = queue_of(j.lane)
  if j.state == 's' or j.state == 't' then
    call('ZADD', P .. 'due:' .. queue, j.run, j.id)
    wake(queue)
    return
  end
  local kind = shelf(j)
  if kind then
    local member = pack('>I6', j.seq) .. j.id
    if kind == 'r' then
      ready(j.lane, j.priority, j.run, member)
    else
      call('ZADD', P .. kind .. ':' .. j.lane, j.priority * SPAN + j.run, member)
      call('SADD', P .. 'odd', kind .. j.lane)
    end
    wake(queue)
  elseif FINISHED[j.state] then
    call('ZADD', P .. 'ended:' .. FINISHED[j.state], ended_at(j), j.id)
  end
end

local function unlock(j)
  if not has(j, UNIQUE) then return end
  local key = call('HGET', P .. 'extras', j.id .. 'u')
  if not key then return end
  key = string.sub(key, 7)
  local held = call('HGET', P .. 'locks', key)
  if held and string.sub(held, 1, 16) == j.id then call('HDEL', P .. 'locks', key) end
end

local function keep(j, what, said)
  call('HSET', P .. 'extras', j.id .. what, said)
  set(j, EXTRAS)
end

-- Adds an error, the oldest going first; what cannot be read is dropped.
local function keep_error(j, said)
  local old = call('HGET', P .. 'extras', j.id .. 'e') or ''
  local kept, at = {}, 1
  while at + 9 <= #old do
    local stop = at + 9 + unpk('>I4', old, at + 6)
    if stop > #old then break end
    kept[#kept + 1] = string.sub(old, at, stop)
    at = stop + 1
  end
  if at ~= #old + 1 then kept = {} end
  kept[#kept + 1] = pack('>I6I4', now, #said) .. said
  keep(j, 'e', table.concat(kept, '', math.max(1, #kept - KEPT_ERRORS + 1)))
end

local function delete(j)
  unindex(j)
  unlock(j)
  call('HDEL', P .. 'state', j.id)
  call('HDEL', P .. 'jobs', j.id)
  if is_listed() then call('ZREM', P .. 'ids', j.id) end
  if band(j.flags, EXTRAS + UNIQUE) ~= 0 then
    local id = j.id
    call('HDEL', P .. 'extras', id .. 'e', id .. 'r', id .. 'c', id .. 'p', id .. 'v', id .. 'u')
  end
  count(j.lane, j.state, -1)
end

-- Changes a job by `step` and keeps indexes, counters and locks true.
local function change(j, step, holds)
  local before = j.state
  unindex(j)
  step(j)
  if j.token == 0 then index(j) end
  if FINISHED[j.state] and not FINISHED[before] then unlock(j) end
  if before ~= j.state then
    count(j.lane, before, -1)
    count(j.lane, j.state, 1)
  end
  call('HSET', P .. 'state', j.id, encode(j))
end

local function cancel(j, reason)
  free(j)
  keep(j, 'r', reason)
  clear(j, CANCEL)
  enter(j, 'x')
end

local function asked_reason(j)
  return call('HGET', P .. 'extras', j.id .. 'c') or ''
end

-- A cancellation that was asked for takes effect when the claim ends in any other way than the job's end.
local function honour_cancel(j)
  if has(j, CANCEL) and not FINISHED[j.state] then cancel(j, asked_reason(j)) end
end

local function wait_until(j, state, at)
  free(j)
  j.run = at
  enter(j, state)
end

local function give_back(j)
  if has(j, OWES) then return free(j) end
  j.attempt = math.max(j.attempt - 1, 0)
  wait_until(j, 'a', j.run)
  honour_cancel(j)
end

-- Ends a claim whose worker is gone; whether that quarantined the job.
local function lose(j)
  local worker = j.worker
  free(j)
  set(j, SUSPECT)
  if has(j, OWES) then
    j.callbacks = j.callbacks + 1
    if j.callbacks >= CALLBACK_LOSSES then
      clear(j, OWES)
      keep_error(j, 'D' .. pack('>I4', j.attempt) .. worker)
    end
    return false
  end
  if has(j, STARTED) then j.lost = math.min(j.lost + 1, 255) end
  if j.lost >= LOSSES_TO_QUARANTINE then
    keep_error(j, 'Q' .. pack('>I4', j.attempt) .. worker)
    if has(j, ON_FAILURE) then set(j, OWES) end
    enter(j, 'q')
    return true
  end
  if has(j, CANCEL) then
    cancel(j, asked_reason(j))
  else
    j.attempt = math.max(j.attempt - 1, 0)
    enter(j, 'a')
  end
  return false
end

-- Makes at most `limit` due jobs of a queue available; how many.
local function promote(queue, limit)
  local ids = call('ZRANGE', P .. 'due:' .. queue, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
  if #ids == 0 then return 0 end
  local states = states_of(ids)
  for i = 1, #ids do
    if states[i] then
      change(decode(ids[i], states[i]), function(j) enter(j, 'a') end)
    else
      call('ZREM', P .. 'due:' .. queue, ids[i])
    end
  end
  return #ids
end
