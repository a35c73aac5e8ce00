-- ARGV: process, number of the call, number of lanes, their names, then settlements: id, token, end, delay and more in one. For more
-- than 0 follow text, marks of earlier calls, number of the follow-ups' arguments, and those. Answers a letter for each: d(one) or
-- l(ost).
local function doubted(mark)
  for earlier, at in string.gmatch(mark, '(%d+):(%d+)') do
    local answer = call('HGET', P .. 'answers:' .. ARGV[1], earlier % SLOTS)
    local number, outcomes = string.match(answer or '', '^(%d+):(.*)$')
    if number == earlier and string.sub(outcomes, at + 1, at + 1) == 'd' then return true end
  end
  return false
end

local n_lanes = tonumber(ARGV[3])
local lanes = lanes_at(4, n_lanes)
local ends, ids, at = {}, {}, 4 + n_lanes
while at <= #ARGV do
  local how = ARGV[at]
  ids[#ids + 1] = string.sub(how, 1, 16)
  ends[#ends + 1] = at
  at = at + 1
  if string.byte(how, 32) > 0 then at = at + 3 + tonumber(ARGV[at + 2]) end
end
local read = fetch('HMGET', P .. 'state', ids)
local states = {}
for i = 1, #ids do states[ids[i]] = read[i] end

local gone, kept, freed, finished = {}, {}, {}, {}
local ended, NOW = 'c' .. pack('>I6', now), text(now)

local function flush()
  bulk('HDEL', P .. 'state', gone)
  bulk('HDEL', P .. 'jobs', gone)
  if is_listed() then bulk('ZREM', P .. 'ids', gone) end
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
  -- One that was only in two states was in no other than available or scheduled, and running.
  local states = #s == 69 and string.sub(s, 56) .. ended or entered(string.sub(s, 56), 'c')
  s = 'c' .. string.sub(s, 2, 31) .. NO_TOKEN .. NOBODY .. states
  local n = #kept
  kept[n + 1], kept[n + 2] = id, s
  finished[n + 1], finished[n + 2] = NOW, id
  return s
end

local STEPS = {
  K = function(j, _, said)
    free(j)
    keep(j, 'v', said)
    enter(j, 'c')
  end,
  k = function(j)
    free(j)
    enter(j, 'c')
  end,
  t = function(j, delay, said)
    keep_error(j, said)
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
  x = function(j, _, said)
    cancel(j, has(j, CANCEL) and asked_reason(j) or said)
  end,
  b = function(j, _, said)
    keep_error(j, said)
    free(j)
    enter(j, 'd')
  end,
  o = function(j, _, said)
    keep_error(j, said)
    set(j, OWES)
    enter(j, 'd')
  end,
}

local function settle(id, s, how, said)
  local what, delay = string.sub(how, 25, 25), unpk('>I6', how, 26)
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
    STEPS.o(j, delay, said)
    unlock(j)
    count(j.lane, 'r', -1)
    count(j.lane, 'd', 1)
    call('HSET', P .. 'state', id, encode(j))
  elseif STEPS[what] then
    change(j, function()
      STEPS[what](j, delay, said)
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
  local how = ARGV[first]
  local s, token = states[id], string.sub(how, 17, 24)
  local more = string.byte(how, 32) > 0
  local done, after = false, s
  if s and token ~= NO_TOKEN and string.sub(s, 32, 39) == token then
    done, after = settle(id, s, how, more and ARGV[first + 1] or '')
    if done then
      states[id] = after
      local follow_ups = more and tonumber(ARGV[first + 3]) or 0
      if follow_ups > 0 then
        flush()
        store(first + 4, first + 3 + follow_ups, lanes)
      end
    end
  elseif more then
    done = doubted(ARGV[first + 2])
  end
  answers[i] = done and 'd' or 'l'
end
flush()
flush_counts()
flush_wakes()
local outcomes = table.concat(answers)
call('HSET', P .. 'answers:' .. ARGV[1], ARGV[2] % SLOTS, ARGV[2] .. ':' .. outcomes)
call('PEXPIRE', P .. 'answers:' .. ARGV[1], 600000)
return outcomes
