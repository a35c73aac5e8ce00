-- Unique keys.
local function lock(id, key, ttl)
  local held = call('HGET', P .. 'locks', key)
  if held and #held == 22 and string.sub(held, 1, 16) ~= id then
    local til = unpk('>I6', held, 17)
    if til == 0 or til > now then return string.sub(held, 1, 16) end
  end
  call('HSET', P .. 'locks', key, id .. pack('>I6', ttl > 0 and later(ttl - 1) or 0))
end
