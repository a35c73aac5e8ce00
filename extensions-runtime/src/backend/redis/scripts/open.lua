-- ARGV: the newest version of the layout that the program knows, whether the store may be made. Answers the version that was there
-- (0: none) and the one that is.
local had = call('HGET', META, 'schema')
if not had and ARGV[2] == '1' then call('HSET', META, 'schema', ARGV[1]) end
return { tonumber(had or 0) or -1, tonumber(call('HGET', META, 'schema') or 0) or -1 }
