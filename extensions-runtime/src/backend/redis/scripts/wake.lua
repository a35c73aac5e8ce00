-- Wakes those who wait for a queue. Only one that was claimed from since its last wake-up has any. The generation grows with the clock,
-- so that it never repeats, whatever the server forgot in a crash.
local function rouse(queue, us)
  local meta = KEYS[1] .. ':meta'
  if redis.call('HDEL', meta, 'idle:' .. queue) == 1 then
    local last = tonumber(redis.call('HGET', meta, 'gen') or 0)
    local gen = string.format('%.0f', math.max(last + 1, us))
    redis.call('HSET', meta, 'gen', gen)
    redis.call('PUBLISH', KEYS[1] .. ':wake', gen .. ' ' .. queue)
  end
end
