-- ARGV: where to go on. Looks at some unique keys; answers { where to go on, or 0, how many of them are held by jobs that are over or gone }.
local part = call('HSCAN', P .. 'locks', ARGV[1], 'COUNT', 1000)
local holders = {}
for i = 2, #part[2], 2 do
  local held = part[2][i]
  local til = #held == 22 and unpk('>I6', held, 17) or 0
  if til == 0 or til > now then holders[#holders + 1] = string.sub(held, 1, 16) end
end
local states, orphaned = fetch('HMGET', P .. 'state', holders), 0
for i = 1, #holders do
  if not states[i] or string.find('cdxq', string.sub(states[i], 1, 1), 1, true) then orphaned = orphaned + 1 end
end
return { part[1], orphaned }
