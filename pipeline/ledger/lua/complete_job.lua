-- complete_job: record the finished bundle once, for the claimant that holds the claim.
-- KEYS: job, active jobs, ended jobs, channel of ended jobs, callbacks, counts, minutes,
--       unrecorded jobs, purged jobs, ranges; for a job whose only chunk the claimant bundled from
--       memory also staged, drained chunks, leases, attempts
-- ARGV: task id, claimant, bundle, SHA-256 of the bundle; for such a job also the record of the chunk
--       and the number of its items
-- Returns false when the claim was lost or the job is not running. Else returns the time of the job's
-- end (ms), and for such a job whether it had this attempt alone (1 or 0): no other one has staged the
-- chunk or announced a bundle.
local function is_alone(job, staged, attempts)
    if redis.call("HGET", attempts, 0) ~= "1" or redis.call("HLEN", staged) > 0 then
        return 0
    end
    for _, name in ipairs(redis.call("HGETALL", job)) do
        if string.sub(name, 1, 7) == "upload:" then
            return 0
        end
    end
    return 1
end
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
redis.call("HDEL", job, "upload:" .. ARGV[4])
local alone = 0
if ARGV[5] then
    alone = is_alone(job, KEYS[11], KEYS[14])
    record_staged(job, KEYS[11], KEYS[12], KEYS[7], 0, ARGV[5], ARGV[6])
    redis.call("HDEL", KEYS[13], 0)
end
redis.call("HDEL", KEYS[10], "items")
redis.call("HSET", job, "state", after, "bundle", ARGV[3], "finished_at", now())
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("ZADD", KEYS[3], now(), ARGV[1])
redis.call("ZADD", KEYS[8], now(), ARGV[1])
redis.call("PUBLISH", KEYS[4], ARGV[1])
call_back(job, KEYS[5], ARGV[1])
count_end(KEYS[6], job, after)
count(KEYS[7], "completed", 1)
return {redis.call("HGET", job, "finished_at"), alone}
