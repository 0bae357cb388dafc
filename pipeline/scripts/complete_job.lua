-- complete_job: record the finished bundle, once, by whoever holds the claim.
-- KEYS: job, active jobs
-- ARGV: task id, claimant, bundle
-- Returns the job's state afterwards, or false when it is unknown.
local state = redis.call("HGET", KEYS[1], "state")
if not state or redis.call("HGET", KEYS[1], "claim_owner") ~= ARGV[2] then
    return state
end
local after = transition(state, "complete")
if after ~= state then
    redis.call("HSET", KEYS[1], "state", after, "bundle", ARGV[3], "finished_at", now())
    redis.call("ZREM", KEYS[2], ARGV[1])
end
redis.call("HDEL", KEYS[1], "claim_owner", "claim_until")
return after
