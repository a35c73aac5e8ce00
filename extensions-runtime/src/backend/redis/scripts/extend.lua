-- ARGV: lease, then claims: id, token, progress. Answers a letter for each: h(eld), c(ancellation asked) or l(ost).
local til = text(now + tonumber(ARGV[1]))
local ids = {}
for at = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
local states = fetch('HMGET', P .. 'state', ids)
local answers, held, changed = {}, {}, {}
for i = 1, #ids do
  local s, token, progress = states[i], ARGV[3 * i], ARGV[3 * i + 1]
  if s and token ~= NO_TOKEN and string.sub(s, 32, 39) == token then
    local flags, worker = string.byte(s, 2), string.sub(s, 40, 55)
    local jobs = held[worker]
    if not jobs then
      jobs = {}
      held[worker] = jobs
    end
    jobs[#jobs + 1] = til
    jobs[#jobs + 1] = ids[i]
    if progress ~= '' then
      call('HSET', P .. 'extras', ids[i] .. 'p', progress)
      changed[#changed + 1] = ids[i]
      changed[#changed + 1] = string.sub(s, 1, 1) .. string.char(bit.bor(flags, EXTRAS)) .. string.sub(s, 3)
    end
    answers[i] = band(flags, CANCEL) ~= 0 and 'c' or 'h'
  else
    answers[i] = 'l'
  end
end
bulk('HSET', P .. 'state', changed)
for worker, jobs in pairs(held) do
  bulk('ZADD', P .. 'held:' .. worker, jobs)
  call('ZADD', P .. 'holders', 'LT', til, worker)
end
return table.concat(answers)
