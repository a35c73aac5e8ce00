-- ARGV: lease, then claims: id, token, progress. Answers a letter for each: h(eld), c(ancellation asked) or l(ost).
local til = later(tonumber(ARGV[1]))
local ids = {}
for at = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
local states = fetch('HMGET', P .. 'state', ids)
local answers, workers, changed, latest = {}, {}, {}, {}
for i = 1, #ids do
  local s, token, progress = latest[ids[i]] or states[i], ARGV[3 * i], ARGV[3 * i + 1]
  if s and token ~= NO_TOKEN and string.sub(s, 32, 39) == token then
    local flags = string.byte(s, 2)
    workers[string.sub(s, 40, 55)] = true
    if progress ~= '' then
      call('HSET', P .. 'extras', ids[i] .. 'p', progress)
      flags = bit.bor(flags, EXTRAS)
    end
    changed[#changed + 1] = ids[i]
    s = string.sub(s, 1, 1) .. string.char(flags) .. string.sub(s, 3, 55) .. pack('>I6', til) .. string.sub(s, 62)
    changed[#changed + 1], latest[ids[i]] = s, s
    answers[i] = band(flags, CANCEL) ~= 0 and 'c' or 'h'
  else
    answers[i] = 'l'
  end
end
bulk('HSET', P .. 'state', changed)
for worker in pairs(workers) do call('ZADD', P .. 'holders', 'LT', text(til), worker) end
return table.concat(answers)
