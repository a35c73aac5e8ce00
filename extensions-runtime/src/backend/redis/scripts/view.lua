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

if ARGV[1] == '1' then
  local counted = answer[3]
  for i = 1, #counted, 2 do
    local lane = string.match(counted[i], '^(%d+)a$')
    if lane and tonumber(counted[i + 1]) > 0 then
      for _, kind in ipairs({ 'r', 's', 'l' }) do
        local first = earliest(P .. kind .. ':' .. lane)
        if first then
          answer[#answer + 1] = tonumber(lane)
          answer[#answer + 1] = first
        end
      end
    end
  end
end
return answer
