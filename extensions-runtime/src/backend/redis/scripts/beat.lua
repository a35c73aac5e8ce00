-- ARGV: worker, for how long it counts as live, what it says of itself, for how long what was done is kept, then pairs of a lane's name
-- and what was done in it: nine numbers, the eighth of which is the longest time. Forgets workers that have been silent for too long.
call('HSET', P .. 'beats', ARGV[1], pack('>I6I6', now, later(tonumber(ARGV[2]))))
call('HSET', P .. 'workers', ARGV[1], ARGV[3])
local beats = call('HGETALL', P .. 'beats')
for i = 1, #beats, 2 do
  if #beats[i + 1] ~= 12 or unpk('>I6', beats[i + 1], 7) <= now then
    call('HDEL', P .. 'beats', beats[i])
    call('HDEL', P .. 'workers', beats[i])
  end
end

local function sum(old, new)
  local sums = {}
  for at = 1, 54, 6 do
    local a, b = unpk('>I6', old, at), unpk('>I6', new, at)
    sums[#sums + 1] = pack('>I6', at == 43 and math.max(a, b) or math.min(a + b, 281474976710655))
  end
  return table.concat(sums)
end

if #ARGV > 4 then
  local minute = P .. 'done:' .. text(now - now % 60000)
  for i = 5, #ARGV, 2 do
    local old = call('HGET', minute, ARGV[i])
    call('HSET', minute, ARGV[i], old and #old == 54 and sum(old, ARGV[i + 1]) or ARGV[i + 1])
  end
  call('PEXPIRE', minute, ARGV[4])
end
return 1
