-- ARGV: worker, for how long it counts as live, what it says of itself. Forgets workers that have been silent for too long.
call('HSET', P .. 'beats', ARGV[1], pack('>I6I6', now, later(tonumber(ARGV[2]))))
call('HSET', P .. 'workers', ARGV[1], ARGV[3])
local beats = call('HGETALL', P .. 'beats')
for i = 1, #beats, 2 do
  if #beats[i + 1] ~= 12 or unpk('>I6', beats[i + 1], 7) <= now then
    call('HDEL', P .. 'beats', beats[i])
    call('HDEL', P .. 'workers', beats[i])
  end
end
return 1
