-- ARGV: pairs of a lane and whether live workers lack its handler. Keeps since when.
for i = 1, #ARGV, 2 do
  if ARGV[i + 1] == '1' then
    call('HSETNX', META, 'lacking:' .. ARGV[i], now)
  else
    call('HDEL', META, 'lacking:' .. ARGV[i])
  end
end
return 1
