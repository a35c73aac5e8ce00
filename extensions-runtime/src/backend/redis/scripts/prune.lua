-- ARGV: the largest number of jobs, and for how long completed, cancelled and dead jobs are kept. Answers how many were deleted.
local limit, pruned = tonumber(ARGV[1]), 0
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

flush_counts()
return pruned
