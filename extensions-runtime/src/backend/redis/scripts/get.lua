-- ARGV: ids. Answers for each: false, or state, body, errors, reason, progress, result, unique key.
local states, bodies = fetch('HMGET', P .. 'state', ARGV), fetch('HMGET', P .. 'body', ARGV)
local answers = {}
for i = 1, #ARGV do
  local s, id = states[i], ARGV[i]
  if not s then
    answers[i] = false
  elseif bit.band(string.byte(s, 2), 80) == 0 then
    answers[i] = { s, bodies[i] or '' }
  else
    local more = call('HMGET', P .. 'extras', id .. 'e', id .. 'r', id .. 'p', id .. 'v', id .. 'u')
    answers[i] = { s, bodies[i] or '', unpack(more, 1, 5) }
  end
end
return answers
