-- ARGV: the largest number of jobs, and for how long completed, cancelled and dead jobs are kept. Answers how many were deleted, and
-- whether there may be more.
local limit, pruned = tonumber(ARGV[1]), 0
-- How much is looked at of jobs that were completed together, most of which may have left that state since: in ids, and for the calls that
-- each such group takes as many as they cost.
local LOOK, CALLS = 10000, 20

for i, state in ipairs({ 'completed', 'cancelled', 'dead' }) do
  local old = now - tonumber(ARGV[1 + i])
  local ids = call('ZRANGE', P .. 'ended:' .. state, '-inf', old, 'BYSCORE', 'LIMIT', 0, math.max(limit - pruned, 0))
  local states = fetch('HMGET', P .. 'state', ids)
  for at = 1, #ids do
    if states[at] then
      delete(decode(ids[at], states[at]))
      pruned = pruned + 1
    else
      call('ZREM', P .. 'ended:' .. state, ids[at])
    end
  end
end

local old, looked = now - tonumber(ARGV[2]), 0
while pruned < limit and looked < LOOK do
  local together = call('ZRANGE', P .. 'completed', '-inf', old, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  local member, score = together[1], together[2]
  if not member then break end
  local ids = {}
  for at = 1, #member, 16 do ids[#ids + 1] = string.sub(member, at, at + 15) end
  local states, at = fetch('HMGET', P .. 'state', ids), 0
  while at < #ids and pruned < limit do
    at = at + 1
    local j = states[at] and decode(ids[at], states[at])
    -- One that was completed once more since stands with those of that time.
    if j and j.state == 'c' and ended_at(j) <= old then
      delete(j)
      pruned = pruned + 1
    end
  end
  looked = looked + at + CALLS
  call('ZREM', P .. 'completed', member)
  -- Where the rest stands there already, just these were completed once more since.
  if at < #ids then call('ZADD', P .. 'completed', 'NX', score, string.sub(member, 16 * at + 1)) end
end

flush_counts()
return { pruned, (pruned >= limit or looked >= LOOK) and 1 or 0 }
