-- complete_job: record the finished bundle once, for the claimant that holds the claim.
-- KEYS: job, active jobs, ended jobs, channel of ended jobs, callbacks, counts, minutes,
--       unrecorded jobs, purged jobs
-- ARGV: task id, claimant, bundle, SHA-256 of the bundle
-- Returns the time of the job's end (ms); false when the claim was lost or the job is not running.
local job = KEYS[1]
if purged(job, KEYS[9], ARGV[1]) then  -- a late bundler has written the bundle again
    return false
end
local state = redis.call("HGET", job, "state")
if not state or redis.call("HGET", job, "claim_owner") ~= ARGV[2] then
    return false
end
redis.call("HDEL", job, "claim_owner", "claim_until")
local after = transition(state, "complete")
if after == state then
    return false
end
redis.call("HSET", job, "state", after, "bundle", ARGV[3], "finished_at", now())
redis.call("HDEL", job, "upload:" .. ARGV[4])
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("ZADD", KEYS[3], now(), ARGV[1])
redis.call("ZADD", KEYS[8], now(), ARGV[1])
redis.call("PUBLISH", KEYS[4], ARGV[1])
call_back(job, KEYS[5], ARGV[1])
count_end(KEYS[6], job, after)
count(KEYS[7], "completed", 1)
return redis.call("HGET", job, "finished_at")
