-- ARGV: after which id, how many to find, how many to look at, whether the newest come first, then pairs of a state's letter and its
-- lanes (a byte each).
-- Answers { the last id looked at, or empty at the end, ids… }, or { '+' } while the index of ids is being made.
local after, wanted, budget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local cursor = call('HGET', META, 'listing') or '0'
call('HSET', META, 'listed', text(now))
if cursor ~= 'whole' then
  local part = call('HSCAN', P .. 'state', cursor, 'COUNT', 1000)
  for i = 1, #part[2], 2 do call('ZADD', P .. 'ids', 0, part[2][i]) end
  call('HSET', META, 'listing', part[1] == '0' and 'whole' or part[1])
  if part[1] ~= '0' then return { '+' } end
end

local masks = {}
for at = 5, #ARGV, 2 do masks[ARGV[at]] = ARGV[at + 1] end
local ids
if ARGV[4] == '1' then
  ids = call('ZRANGE', P .. 'ids', after == '' and '+' or '(' .. after, '-', 'BYLEX', 'REV', 'LIMIT', 0, budget)
else
  ids = call('ZRANGE', P .. 'ids', after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, budget)
end
local states = fetch('HMGET', P .. 'state', ids)
local found = { #ids == budget and ids[#ids] or '' }
for i = 1, #ids do
  local s = states[i]
  local mask = s and masks[string.sub(s, 1, 1)]
  if mask and string.byte(mask, (unpk('>I4', s, 4))) == 49 then
    found[#found + 1] = ids[i]
    if #found > wanted then
      found[1] = ids[i]
      break
    end
  end
end
return found
