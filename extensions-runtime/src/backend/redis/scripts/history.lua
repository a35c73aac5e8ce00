-- ARGV: the first minute, the last. Answers { minute, what was done in it, … }.
local answer = {}
for minute = tonumber(ARGV[1]), tonumber(ARGV[2]), 60000 do
  local done = call('HGETALL', P .. 'done:' .. text(minute))
  if #done > 0 then
    answer[#answer + 1] = minute
    answer[#answer + 1] = done
  end
end
return answer
