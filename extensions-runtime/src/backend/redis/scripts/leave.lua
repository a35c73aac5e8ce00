-- ARGV: worker, first token, last token, limit, whether the worker says goodbye, the claim that is void.
-- Gives back what the worker holds under tokens in that range; answers how many are left to look at.
local worker, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[5] == '1' then
  call('HDEL', P .. 'beats', worker)
  call('HDEL', P .. 'workers', worker)
end
if ARGV[6] ~= '' then call('SET', P .. 'void:' .. ARGV[6], 1, 'PX', 600000) end
local held = P .. 'held:' .. worker
local left, given = 0, 0
local ids = call('SMEMBERS', held)
local states = fetch('HMGET', P .. 'state', ids)
for i = 1, #ids do
  local j = states[i] and decode(ids[i], states[i])
  if not j or j.worker ~= worker then
    call('SREM', held, ids[i])
  elseif j.token >= first and j.token <= last then
    if given < tonumber(ARGV[4]) then
      change(j, give_back)
      given = given + 1
    else
      left = left + 1
    end
  end
end
flush_counts()
flush_wakes()
return left
