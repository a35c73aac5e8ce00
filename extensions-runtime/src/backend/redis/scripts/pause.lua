-- ARGV: queue, whether it is to be paused.
if ARGV[2] == '1' then
  call('HSET', META, 'paused:' .. ARGV[1], 1)
else
  call('HDEL', META, 'paused:' .. ARGV[1])
  wake(ARGV[1])
  flush_wakes()
end
return 1
