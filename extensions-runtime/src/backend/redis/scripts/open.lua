-- ARGV: the newest version of the layout that the program knows. Answers the version that is there.
call('HSETNX', META, 'schema', ARGV[1])
return tonumber(call('HGET', META, 'schema')) or -1
