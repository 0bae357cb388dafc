-- complete_job: record the finished bundle, once, by whoever holds the claim.
-- KEYS: job, active jobs, ended jobs, channel of ended jobs, callbacks, counts, minutes,
--       unrecorded ends
-- ARGV: task id, claimant, bundle
-- Returns the job's state afterwards and when it ended (ms); each false when there is none.
local job = KEYS[1]
local state = redis.call("HGET", job, "state")
if not state or redis.call("HGET", job, "claim_owner") ~= ARGV[2] then
    return {state, redis.call("HGET", job, "finished_at")}
end
local after = transition(state, "complete")
if after ~= state then
    redis.call("HSET", job, "state", after, "bundle", ARGV[3], "finished_at", now())
    redis.call("ZREM", KEYS[2], ARGV[1])
    redis.call("ZADD", KEYS[3], now(), ARGV[1])
    redis.call("ZADD", KEYS[8], now(), ARGV[1])
    redis.call("PUBLISH", KEYS[4], ARGV[1])
    call_back(job, KEYS[5], ARGV[1])
    count_end(KEYS[6], job, after)
    count(KEYS[7], "completed", 1)
end
redis.call("HDEL", job, "claim_owner", "claim_until")
return {after, redis.call("HGET", job, "finished_at")}
