-- job_states: the states of some jobs.
-- KEYS: job, job, …
-- Returns the state of each, false for a job that is unknown.
local states = {}
for i = 1, #KEYS do
    states[i] = redis.call("HGET", KEYS[i], "state")
end
return states
