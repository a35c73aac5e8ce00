-- The usual settlement, before all that an unusual one needs is made: completed attempts of one worker, each under its claim, with nothing
-- beside their states and without results and follow-ups, while nobody lists.
local function settle_plain()
  local call, byte, sub, find, unpk = redis.call, string.byte, string.sub, string.find, struct.unpack
  local P = KEYS[1] .. ':'
  local n, ids = #ARGV - 3, {}
  if ARGV[3] ~= '0' or n > 1000 or call('HEXISTS', P .. 'meta', 'listed') == 1 then return nil end
  for i = 1, n do
    local how = ARGV[i + 3]
    if byte(how, 32) ~= 0 then return nil end
    ids[i] = sub(how, 1, 16)
  end
  local clock = call('TIME')
  local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
  local ended = 'c' .. struct.pack('>I6', now)
  local free = string.rep('\0', 30)
  local states, worker = call('HMGET', P .. 'state', unpack(ids)), nil
  local gone, kept, finished, done, ended_in = {}, {}, {}, {}, {}
  for i = 1, n do
    local s, how = states[i], ARGV[i + 3]
    if not s then return nil end
    local flags, lane = unpk('>BxI4', s, 2)
    local token = sub(how, 17, 24)
    worker = worker or sub(s, 40, 55)
    if token == '\0\0\0\0\0\0\0\0' or find(s, token, 32, true) ~= 32 or find(s, worker, 40, true) ~= 40 then return nil end
    -- OWES + UNIQUE + EXTRAS + CANCEL
    if bit.band(flags, 212) ~= 0 then return nil end
    local letter = byte(how, 25)
    if letter == 122 then
      gone[#gone + 1] = ids[i]
    elseif letter == 107 and #s == 75 then
      local at = #kept
      kept[at + 1], kept[at + 2] = ids[i], 'c' .. sub(s, 2, 31) .. free .. sub(s, 62) .. ended
      finished[#finished + 1] = ids[i]
      done[lane] = (done[lane] or 0) + 1
    else
      return nil
    end
    ended_in[lane] = (ended_in[lane] or 0) + 1
  end
  -- All of them are held, so fewer means that one is there twice. The long way completes them, too.
  if call('SREM', P .. 'held:' .. worker, unpack(ids)) < n then return nil end
  if #gone > 0 then
    call('HDEL', P .. 'state', unpack(gone))
    call('HDEL', P .. 'jobs', unpack(gone))
  end
  if #kept > 0 then
    call('HSET', P .. 'state', unpack(kept))
    call('ZADD', P .. 'completed', now, table.concat(finished))
  end
  for lane, by in pairs(ended_in) do call('HINCRBY', P .. 'counts', lane .. 'r', -by) end
  for lane, by in pairs(done) do call('HINCRBY', P .. 'counts', lane .. 'c', by) end
  local outcomes = string.rep('d', n)
  call('HSET', P .. 'answers:' .. ARGV[1], ARGV[2] % SLOTS, ARGV[2] .. ':' .. outcomes)
  call('PEXPIRE', P .. 'answers:' .. ARGV[1], 600000)
  return outcomes
end

local outcomes = settle_plain()
if outcomes then return outcomes end
