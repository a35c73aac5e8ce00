-- ARGV: what to do, why, the ids. Answers for each: a letter, and for w(rong state) its state and lane, for h(eld key) the holder.
local what, reason = ARGV[1], ARGV[2]

local function start_over(j)
  call('HDEL', P .. 'extras', j.id .. 'r', j.id .. 'c', j.id .. 'p', j.id .. 'v')
  j.attempt, j.lost, j.callbacks = 0, 0, 0
  clear(j, SUSPECT + STARTED + OWES + CANCEL)
  wait_until(j, 'a', now)
end

local ACTS = {}

function ACTS.retry(j)
  if j.state == 's' or j.state == 't' then
    change(j, function() wait_until(j, 'a', now) end)
    return 'd'
  end
  if j.token ~= 0 or not (j.state == 'd' or j.state == 'x' or j.state == 'q') then return nil end
  local key = has(j, UNIQUE) and call('HGET', P .. 'extras', j.id .. 'u')
  local holder = key and lock(j.id, string.sub(key, 7), unpk('>I6', key))
  if holder then return 'h' .. holder end
  change(j, start_over)
  return 'd'
end

function ACTS.cancel(j)
  if j.state == 'r' then
    keep(j, 'c', reason)
    set(j, CANCEL)
    call('HSET', P .. 'state', j.id, encode(j))
    return 'r'
  end
  if FINISHED[j.state] then return nil end
  change(j, function() cancel(j, reason) end)
  return 'd'
end

function ACTS.forget(j)
  if not FINISHED[j.state] or j.token ~= 0 then return nil end
  delete(j)
  return 'd'
end

local answers = {}
for at = 3, #ARGV do
  local s = call('HGET', P .. 'state', ARGV[at])
  local job = not s and call('HGET', P .. 'jobs', ARGV[at])
  if s or job then
    local j = decode(ARGV[at], s or first_state(job))
    j.listed = j.state == 'a' and job
    local was = j.state
    answers[#answers + 1] = ACTS[what](j) or 'w' .. was .. j.lane
  else
    answers[#answers + 1] = 'n'
  end
end
flush_counts()
flush_wakes()
return answers
