-- The usual claim, before all that an unusual one needs is made: of one queue in which nothing is odd or due and at most one list has jobs,
-- all of which stand there rightly and hold no key that their start frees. Its answer has a list of their elements, each of which ends
-- with an id, and one of what is stored of them: all that was not in the claim follows from these.
local function claim_plain()
  local call, pack, byte, sub, char = redis.call, struct.pack, string.byte, string.sub, string.char
  local P = KEYS[1] .. ':'
  local META, worker, base, max, queue = P .. 'meta', ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[8]
  if #ARGV ~= 8 or max < 1 or max > 2000 then return nil end
  local meta = call('HMGET', META, 'stamp', 'gen', 'paused:' .. queue)
  if (meta[1] or '0') ~= ARGV[6] or meta[3] then return nil end
  if call('EXISTS', P .. 'void:' .. ARGV[2], P .. 'odd') > 0 then return nil end
  local list, lane, priority
  for _, name in ipairs(call('SMEMBERS', P .. 'live:' .. queue)) do
    local number, rank = string.match(name, '^(%d+)%.?(%d*)$')
    local high, low = byte(ARGV[7], 2 * number - 1, 2 * number)
    if low and high + low > 0 then
      if list or rank == '' then return nil end
      list, lane, priority = name, number, rank
    end
  end
  local clock = call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local next_due, due = call('ZRANGE', P .. 'due:' .. queue, 0, 0, 'WITHSCORES')[2], -1
  if next_due then
    due = next_due - now
    if due <= 0 then return nil end
  end

  local elements, jobs = {}, {}
  if list then
    local key = P .. 'r:' .. list
    elements = call('LRANGE', key, 0, max - 1)
    local n, ids, changed = #elements, {}, {}
    if n == 0 or call('HEXISTS', P .. 'stale', list) == 1 then return nil end
    for i = 1, n do ids[i] = sub(elements[i], 19) end
    jobs = call('HMGET', P .. 'jobs', unpack(ids))
    local til = string.format('%.0f', math.min(now + ARGV[4], 17592186044415))
    local high, low, heads = pack('>I6', math.floor(base / 65536)), base % 65536, {}
    local holder, running = worker .. pack('>I6', til) .. 'a', 'r' .. pack('>I6', now)
    for i = 1, n do
      local element, job = elements[i], jobs[i] or ''
      local state, flags = byte(job, 1, 2)
      if state ~= 97 or #job < 31 or flags > 31 then return nil end
      local head = heads[flags]
      if not head then
        head = pack('>c1BBI4I4BB', 'r', flags, priority, lane, 1, 0, 0)
        heads[flags] = head
      end
      local at = low + i - 1
      local two = 2 * i
      changed[two - 1] = ids[i]
      changed[two] = head .. sub(element, 1, 18) .. high .. char((at - at % 256) / 256, at % 256) .. holder .. sub(element, 13, 18) .. running
    end
    call('LTRIM', key, n, -1)
    if n < max then call('SREM', P .. 'live:' .. queue, list) end
    call('HSET', P .. 'state', unpack(changed))
    call('SADD', P .. 'held:' .. worker, unpack(ids))
    call('ZADD', P .. 'holders', 'LT', til, worker)
    call('HINCRBY', P .. 'counts', lane .. 'a', -n)
    call('HINCRBY', P .. 'counts', lane .. 'r', n)
  end
  call('HSET', META, 'idle:' .. queue, 1)
  return { meta[2] or '0', due, now, elements, jobs }
end

local claimed = claim_plain()
if claimed then return claimed end
