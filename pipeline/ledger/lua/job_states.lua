-- job_states: return the states of several jobs.
-- KEYS: job, job, …
-- Returns the state of each job, false for an unknown one.
local states = {}
for i = 1, #KEYS do
    states[i] = redis.call("HGET", KEYS[i], "state")
end
return states
