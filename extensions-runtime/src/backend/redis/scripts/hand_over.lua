-- A push that claims its jobs for a worker that waits, as a claim after it would, where all are usual jobs of one queue and priority, nothing is
-- odd or due in that queue or one that the worker takes from before it, and no other job comes first. Answers the time then; else they are
-- pushed only.
-- ARGV: as for a push, then the queues before that of the jobs, their number, worker, first token, lease.
local function hand_over(before, worker, base, lease)
  local call, pack, unpk, sub, char = redis.call, struct.pack, struct.unpack, string.sub, string.char
  local P = KEYS[1] .. ':'
  local META, JOBS = P .. 'meta', P .. 'jobs'
  local first, last = 2 + ARGV[1], #ARGV
  if last > 4000 then return nil end
  local queue = sub(ARGV[2], 5, 4 + unpk('>I4', ARGV[2]))

  local ids, n, at = {}, 0, first
  while at <= last do
    local stop = at + 2 + 2 * ARGV[at + 2]
    for id = at + 3, stop, 2 do
      n = n + 1
      ids[n] = ARGV[id]
    end
    at = stop + 1
  end
  local meta = call('HMGET', META, 'listed', 'paused:' .. queue)
  if meta[1] or meta[2] then return nil end
  local live = {P .. 'live:' .. queue}
  for i = 1, #before do live[i + 1] = P .. 'live:' .. before[i] end
  if call('EXISTS', P .. 'taken', P .. 'void:' .. base, P .. 'odd', unpack(live)) > 0 then return nil end
  local lanes = call('HMGET', P .. 'names', unpack(ARGV, 2, first - 1))
  for i = 1, #lanes do
    if not lanes[i] then return nil end
  end
  local stored, seen = call('HMGET', JOBS, unpack(ids)), {}
  for i = 1, n do
    if stored[i] or seen[ids[i]] then return nil end
    seen[ids[i]] = true
  end
  local clock = call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  for i = 0, #before do
    local due = call('ZRANGE', P .. 'due:' .. (before[i] or queue), 0, 0, 'WITHSCORES')[2]
    if due and due - now <= 0 then return nil end
  end

  local seq, times = call('HINCRBY', META, 'seq', n) - n, pack('>I6I6', now, now)
  local til = string.format('%.0f', math.min(now + lease, 17592186044415))
  local high, low = pack('>I6', math.floor(base / 65536)), base % 65536
  local holder = worker .. pack('>I6', til) .. 'a' .. pack('>I6c1I6', now, 'r', now)
  local jobs, states, size = {}, {}, 0
  at = first
  while at <= last do
    local place, priority, flags = unpk('>I4BB', ARGV[at])
    local lane, jobs_here = lanes[place], ARGV[at + 2]
    local new, claimed = pack('>c1BBI4I6', 'a', flags, priority, lane, 0), pack('>c1BBI4I4BB', 'r', flags, priority, lane, 1, 0, 0)
    for of = at + 3, at + 2 + 2 * jobs_here, 2 do
      local token = low + size / 2
      seq = seq + 1
      local id, since = ARGV[of], pack('>I6', seq) .. times
      jobs[size + 1], jobs[size + 2] = id, new .. since .. ARGV[of + 1]
      states[size + 1], states[size + 2] = id, claimed .. since .. high .. char((token - token % 256) / 256, token % 256) .. holder
      size = size + 2
    end
    call('HINCRBY', P .. 'counts', lane .. 'r', jobs_here)
    at = at + 3 + 2 * jobs_here
  end
  call('HSET', JOBS, unpack(jobs))
  call('HSET', P .. 'state', unpack(states))
  call('SADD', P .. 'held:' .. worker, unpack(ids))
  call('ZADD', P .. 'holders', 'LT', til, worker)
  return now
end

local lease, base, worker = table.remove(ARGV), table.remove(ARGV), table.remove(ARGV)
local before = {}
for i = 1, tonumber(table.remove(ARGV)) do before[i] = table.remove(ARGV) end
local handed = hand_over(before, worker, base, lease)
if handed then return handed end
