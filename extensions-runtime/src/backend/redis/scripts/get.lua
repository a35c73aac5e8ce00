-- ARGV: ids. Answers for each: false, or state, body, errors, reason, progress, result, unique key.
local states, jobs = fetch('HMGET', P .. 'state', ARGV), fetch('HMGET', P .. 'jobs', ARGV)
local answers = {}
for i = 1, #ARGV do
  local job, id = jobs[i], ARGV[i]
  local s = states[i] or job and first_state(job)
  if not s then
    answers[i] = false
  elseif bit.band(string.byte(s, 2), 80) == 0 then
    answers[i] = { s, job or '' }
  else
    local more = call('HMGET', P .. 'extras', id .. 'e', id .. 'r', id .. 'p', id .. 'v', id .. 'u')
    answers[i] = { s, job or '', unpack(more, 1, 5) }
  end
end
return answers
