-- ARGV: whether the longest waits are asked for. Answers { now, lanes, counts, meta, beats, workers, lane, since, … }.
local answer = {
  now, call('HGETALL', P .. 'lanes'), call('HGETALL', P .. 'counts'), call('HGETALL', META), call('HGETALL', P .. 'beats'),
  call('HGETALL', P .. 'workers'),
}

-- The earliest of a shelf: the first of each priority that is there.
local function earliest(key)
  local first, from = nil, '-inf'
  while true do
    local head = call('ZRANGE', key, from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    local score = tonumber(head[2])
    if not score then return first end
    local run = score % SPAN
    if not first or run < first then first = run end
    from = string.format('%.0f', (math.floor(score / SPAN) + 1) * SPAN)
  end
end

-- The same of a list; where its first thousand elements are of jobs that left it, about then.
local function first_of(list)
  local wanted = call('HEXISTS', P .. 'stale', list) == 1 and 1000 or 1
  local elements = call('LRANGE', P .. 'r:' .. list, 0, wanted - 1)
  for i, element in ipairs(elements) do
    if i == 1000 or waits(string.sub(element, 1, 18), call('HGET', P .. 'jobs', string.sub(element, 19))) then
      return (unpk('>I6', element, 7))
    end
  end
end

local function note(lane, first)
  if first then
    answer[#answer + 1] = tonumber(lane)
    answer[#answer + 1] = first
  end
end

if ARGV[1] == '1' then
  local counted, seen = answer[3], {}
  for i = 1, #counted, 2 do
    local lane = string.match(counted[i], '^(%d+)a$')
    if lane and tonumber(counted[i + 1]) > 0 then
      for _, kind in ipairs({ 'r', 's', 'l' }) do note(lane, earliest(P .. kind .. ':' .. lane)) end
      seen[queue_of(lane)] = true
    end
  end
  for queue in pairs(seen) do
    for _, name in ipairs(call('SMEMBERS', P .. 'live:' .. queue)) do
      local lane = string.match(name, '^(%d+)%.')
      if lane then note(lane, first_of(name)) end
    end
  end
end
return answer
