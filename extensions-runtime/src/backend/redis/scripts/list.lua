-- ARGV: after which id, how many to find, how many to look at, then pairs of a state's letter and its lanes (a byte each).
-- Answers { the last id looked at, or empty at the end, ids… }.
local after, wanted, budget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local masks = {}
for at = 4, #ARGV, 2 do masks[ARGV[at]] = ARGV[at + 1] end
local ids = call('ZRANGE', P .. 'ids', after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, budget)
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
