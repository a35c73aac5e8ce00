-- ARGV: the largest number of jobs for each part. Answers { rescued, quarantined, promoted }.
local limit = tonumber(ARGV[1])

local rescued, quarantined = 0, 0
for _, worker in ipairs(call('ZRANGE', P .. 'holders', '-inf', now, 'BYSCORE', 'LIMIT', 0, 50)) do
  local held = P .. 'held:' .. worker
  local ids, first = call('SMEMBERS', held), nil
  local states = fetch('HMGET', P .. 'state', ids)
  for i = 1, #ids do
    local j = states[i] and decode(ids[i], states[i])
    if not j or j.token == 0 or j.worker ~= worker then
      call('SREM', held, ids[i])
    elseif j.til > now or rescued + quarantined >= limit then
      first = math.min(first or j.til, j.til)
    else
      local ended = false
      change(j, function() ended = lose(j) end)
      if ended then quarantined = quarantined + 1 else rescued = rescued + 1 end
    end
  end
  if first then
    call('ZADD', P .. 'holders', text(first), worker)
  else
    call('ZREM', P .. 'holders', worker)
  end
end

local promoted, seen = 0, {}
for _, name in ipairs(call('HVALS', P .. 'lanes')) do
  local queue = queue_in(name)
  if not seen[queue] and promoted < limit then promoted = promoted + promote(queue, limit - promoted) end
  seen[queue] = true
end

local over = call('ZRANGE', P .. 'taken', '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
bulk('ZREM', P .. 'taken', over)

local listed = call('HGET', META, 'listed')
if listed and tonumber(listed) < now - LISTED_FOR then
  call('HDEL', META, 'listed', 'listing')
  call('UNLINK', P .. 'ids')
end

flush_counts()
flush_wakes()
return { rescued, quarantined, promoted }
