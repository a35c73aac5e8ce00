-- ARGV: process, number of the call, number of lanes, their names, then settlements: id, token, end with delay, text, number of
-- follow-ups, their jobs. Answers a letter for each: d(one) or l(ost).
local function doubted(mark)
  local earlier, at = string.match(mark, '^(%d+):(%d+)$')
  if not earlier then return false end
  local answer = call('HGET', P .. 'answers:' .. ARGV[1], earlier % SLOTS)
  local number, outcomes = string.match(answer or '', '^(%d+):(.*)$')
  return number == earlier and string.sub(outcomes, at + 1, at + 1) == 'd'
end

local n_lanes = tonumber(ARGV[3])
local lanes = lanes_at(4, n_lanes)
local ends, ids, at = {}, {}, 4 + n_lanes
while at <= #ARGV do
  local follow_ups = tonumber(ARGV[at + 5])
  ids[#ids + 1] = ARGV[at]
  ends[#ends + 1] = at
  at = at + 6 + 4 * follow_ups
end
local read = fetch('HMGET', P .. 'state', ids)
local states = {}
for i = 1, #ids do states[ids[i]] = read[i] end

local gone, kept, freed, finished = {}, {}, {}, {}

local function flush()
  bulk('HDEL', P .. 'state', gone)
  bulk('HDEL', P .. 'body', gone)
  bulk('ZREM', P .. 'ids', gone)
  bulk('HSET', P .. 'state', kept)
  bulk('ZADD', P .. 'ended:completed', finished)
  for worker, jobs in pairs(freed) do bulk('ZREM', P .. 'held:' .. worker, jobs) end
  gone, kept, freed, finished = {}, {}, {}, {}
end

-- The usual end of a job that has nothing beside its state: gathered, and done for all at once.
local function complete(id, s, keeps)
  local worker = string.sub(s, 40, 55)
  local jobs = freed[worker]
  if not jobs then
    jobs = {}
    freed[worker] = jobs
  end
  jobs[#jobs + 1] = id
  local lane = unpk('>I4', s, 4)
  count(lane, 'r', -1)
  if not keeps then
    gone[#gone + 1] = id
    return false
  end
  count(lane, 'c', 1)
  s = 'c' .. string.sub(s, 2, 31) .. NO_TOKEN .. NOBODY .. entered(string.sub(s, 56), 'c')
  kept[#kept + 1] = id
  kept[#kept + 1] = s
  finished[#finished + 1] = now
  finished[#finished + 1] = id
  return s
end

local STEPS = {
  K = function(j, _, text)
    free(j)
    keep(j, 'v', text)
    enter(j, 'c')
  end,
  k = function(j)
    free(j)
    enter(j, 'c')
  end,
  t = function(j, delay, text)
    keep_error(j, text)
    wait_until(j, 't', later(delay))
  end,
  s = function(j, delay)
    j.attempt = math.max(j.attempt - 1, 0)
    wait_until(j, 's', later(delay))
  end,
  r = function(j)
    j.attempt = math.max(j.attempt - 1, 0)
    wait_until(j, 'a', j.run)
  end,
  x = function(j, _, text)
    cancel(j, has(j, CANCEL) and asked_reason(j) or text)
  end,
  b = function(j, _, text)
    keep_error(j, text)
    free(j)
    enter(j, 'd')
  end,
  o = function(j, _, text)
    keep_error(j, text)
    set(j, OWES)
    enter(j, 'd')
  end,
}

local function settle(id, s, how, text)
  local what, delay = string.sub(how, 1, 1), unpk('>I6', how, 2)
  local flags = string.byte(s, 2)
  local plain = band(flags, OWES + UNIQUE + EXTRAS + CANCEL) == 0
  if plain and (what == 'z' or what == 'k') then return true, complete(id, s, what == 'k') end
  local j = decode(id, s)
  if has(j, OWES) then
    if what == 'c' then
      change(j, function() free(j) clear(j, OWES) end)
    elseif what == 'r' then
      change(j, free)
    else
      return false
    end
  elseif what == 'z' then
    delete(j)
    return true, false
  elseif what == 'o' then
    -- The claim goes on, so its place among the held stays.
    STEPS.o(j, delay, text)
    unlock(j)
    count(j.lane, 'r', -1)
    count(j.lane, 'd', 1)
    call('HSET', P .. 'state', id, encode(j))
  elseif STEPS[what] then
    change(j, function()
      STEPS[what](j, delay, text)
      honour_cancel(j)
    end)
  else
    return false
  end
  return true, encode(j)
end

local answers = {}
for i = 1, #ids do
  local id, first = ids[i], ends[i]
  local s, token = states[id], ARGV[first + 1]
  local done, after = false, s
  if s and token ~= NO_TOKEN and string.sub(s, 32, 39) == token then
    done, after = settle(id, s, ARGV[first + 2], ARGV[first + 3])
    if done then
      states[id] = after
      local follow_ups = tonumber(ARGV[first + 5])
      if follow_ups > 0 then
        flush()
        store(first + 6, follow_ups, lanes)
      end
    end
  elseif ARGV[first + 4] ~= '' then
    done = doubted(ARGV[first + 4])
  end
  answers[i] = done and 'd' or 'l'
end
flush()
flush_counts()
flush_wakes()
local text = table.concat(answers)
call('HSET', P .. 'answers:' .. ARGV[1], ARGV[2] % SLOTS, ARGV[2] .. ':' .. text)
call('PEXPIRE', P .. 'answers:' .. ARGV[1], 600000)
return text
