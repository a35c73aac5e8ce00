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
-- Calls of functions in C are what takes the time here, so they are few.
local n, at, last = 0, 4 + n_lanes, #ARGV
local ids, tokens, letters, delays, more = {}, {}, {}, {}, {}
while at <= last do
  n = n + 1
  local follows
  ids[n], tokens[n], letters[n], delays[n], follows = unpk('>c16c8BI6B', ARGV[at])
  at = at + 1
  if follows > 0 then
    more[n] = at
    at = at + 3 + tonumber(ARGV[at + 2])
  end
end
local read = fetch('HMGET', P .. 'state', ids)
local states = {}
for i = 1, n do states[ids[i]] = read[i] end

local gone, kept, freed, finished, ended_of = {}, {}, {}, {}, {}
local ended, NOW = 'c' .. pack('>I6', now), text(now)

local function flush()
  bulk('HDEL', P .. 'state', gone)
  bulk('HDEL', P .. 'jobs', gone)
  if is_listed() then bulk('ZREM', P .. 'ids', gone) end
  bulk('HSET', P .. 'state', kept)
  if #finished > 0 then call('ZADD', P .. 'completed', NOW, table.concat(finished)) end
  for worker, jobs in pairs(freed) do bulk('SREM', P .. 'held:' .. worker, jobs) end
  gone, kept, freed, finished = {}, {}, {}, {}
end

-- The usual end of a job that has nothing beside its state: gathered, and done for all at once.
local function complete(id, s, lane, worker, keeps)
  local jobs = freed[worker]
  if not jobs then
    jobs = {}
    freed[worker] = jobs
  end
  jobs[#jobs + 1] = id
  if not keeps then
    ended_of[lane] = (ended_of[lane] or 0) + 1
    gone[#gone + 1] = id
    return false
  end
  count(lane, 'r', -1)
  count(lane, 'c', 1)
  -- One that was only in two states was in no other than available or scheduled, and running.
  local states = #s == 75 and string.sub(s, 62) .. ended or entered(string.sub(s, 62), 'c')
  s = 'c' .. string.sub(s, 2, 31) .. NO_CLAIM .. states
  local n = #kept
  kept[n + 1], kept[n + 2] = id, s
  finished[#finished + 1] = id
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

local DROP, KEEP, MORE = byte('z'), byte('k'), OWES + UNIQUE + EXTRAS + CANCEL

local function settle(id, s, worker, letter, delay, said)
  local flags, _, lane = unpk('>BBI4', s, 2)
  if (letter == DROP or letter == KEEP) and (flags == 0 or band(flags, MORE) == 0) then
    return true, complete(id, s, lane, worker, letter == KEEP)
  end
  local j, what = decode(id, s), string.char(letter)
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
for i = 1, n do
  local id, follow = ids[i], more[i]
  local s, done = states[id], false
  local token, worker
  if s then token, worker = unpk('c8c16', s, 32) end
  if s and token == tokens[i] and token ~= NO_TOKEN then
    local after
    done, after = settle(id, s, worker, letters[i], delays[i], follow and ARGV[follow] or '')
    if done then
      states[id] = after
      local follow_ups = follow and tonumber(ARGV[follow + 2]) or 0
      if follow_ups > 0 then
        flush()
        store(follow + 3, follow + 2 + follow_ups, lanes)
      end
    end
  elseif follow then
    done = doubted(ARGV[follow + 1])
  end
  answers[i] = done and 'd' or 'l'
end
for lane, ends in pairs(ended_of) do count(lane, 'r', -ends) end
flush()
flush_counts()
flush_wakes()
local outcomes = table.concat(answers)
call('HSET', P .. 'answers:' .. ARGV[1], ARGV[2] % SLOTS, ARGV[2] .. ':' .. outcomes)
call('PEXPIRE', P .. 'answers:' .. ARGV[1], 600000)
return outcomes
