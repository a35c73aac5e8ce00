-- The usual push, before all that an unusual one needs is made: no job has a unique key, a delay or an id that stays taken, all lanes are
-- known, all ids are new, and nobody lists.
local function push_plain()
  local call, pack, unpk, sub = redis.call, struct.pack, struct.unpack, string.sub
  local P = KEYS[1] .. ':'
  local META, JOBS = P .. 'meta', P .. 'jobs'
  local first, last = 2 + ARGV[1], #ARGV
  if last > 4000 then return false end

  local ids, n, at = {}, 0, first
  while at <= last do
    if ARGV[at + 1] ~= '' or sub(ARGV[at], 7) ~= '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' then return false end
    local stop = at + 2 + 2 * ARGV[at + 2]
    for id = at + 3, stop, 2 do
      n = n + 1
      ids[n] = ARGV[id]
    end
    at = stop + 1
  end
  if call('HEXISTS', META, 'listed') == 1 or call('EXISTS', P .. 'taken') == 1 then return false end
  local lanes = call('HMGET', P .. 'names', unpack(ARGV, 2, first - 1))
  for i = 1, #lanes do
    if not lanes[i] then return false end
  end
  local stored, seen = call('HMGET', JOBS, unpack(ids)), {}
  for i = 1, n do
    local id = ids[i]
    if stored[i] or seen[id] then return false end
    seen[id] = true
  end

  local clock = call('TIME')
  local us, now = clock[1] * 1000000 + clock[2], clock[1] * 1000 + math.floor(clock[2] / 1000)
  local seq, times = call('HINCRBY', META, 'seq', n) - n, pack('>I6I6', now, now)
  local jobs, size, queues = {}, 0, {}
  for i = 1, #lanes do queues[i] = sub(ARGV[i + 1], 5, 4 + unpk('>I4', ARGV[i + 1])) end
  at = first
  while at <= last do
    local place, priority, flags = unpk('>I4BB', ARGV[at])
    local lane, jobs_here = lanes[place], ARGV[at + 2]
    local head, list = pack('>c1BBI4I6', 'a', flags, priority, lane, 0), lane .. '.' .. priority
    local elements, stop = {}, at + 2 + 2 * jobs_here
    for of = at + 3, stop, 2 do
      seq = seq + 1
      local id, place = ARGV[of], pack('>I6', seq) .. times
      jobs[size + 1], jobs[size + 2] = id, head .. place .. ARGV[of + 1]
      size = size + 2
      elements[#elements + 1] = place .. id
    end
    -- A list that was not empty stands among the live ones already.
    if call('RPUSH', P .. 'r:' .. list, unpack(elements)) == #elements then
      call('SADD', P .. 'live:' .. queues[place], list)
    end
    call('HINCRBY', P .. 'counts', lane .. 'a', jobs_here)
    at = stop + 1
  end
  call('HSET', JOBS, unpack(jobs))
  for i = 1, #queues do
    if queues[i] ~= queues[i - 1] then rouse(queues[i], us) end
  end
  return true
end

if push_plain() then return {} end
