-- claim_bundle: claim the bundle of a job whose chunks are all staged, for one bundler at a time.
-- KEYS: job, staged, failures, active jobs, ended jobs, callbacks, dead letters, purged jobs
-- ARGV: claimant, lease (ms), task id, deadline (ms from now) of a job that is reopened, message id
-- Returns {} when there is nothing to bundle or another claimant holds the claim; else all fields
-- of the job.
-- A job whose bundling failed is reopened only by its requeued dead letter. Any other message about
-- the job is late or a duplicate.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
if purged(job, KEYS[8], ARGV[3]) then  -- a bundler may have died after its late upload
    return {}
end
local state = redis.call("HGET", job, "state")
if not state or redis.call("HLEN", KEYS[2]) ~= tonumber(redis.call("HGET", job, "chunks")) then
    return {}
end
if state == "failed" and redis.call("HEXISTS", job, "closed") == 0
    and redis.call("HLEN", KEYS[3]) == 0 and redis.call("SISMEMBER", KEYS[7], ARGV[5]) == 1 then
    state = transition(state, "reopen")
    redis.call("HSET", job, "state", state, "moved_at", now(), "opened_at", now(),
               "deadline_at", now() + ARGV[4])
    redis.call("HDEL", job, "error", "error_code", "finished_at")
    redis.call("ZADD", KEYS[4], redis.call("HGET", job, "created_at"), ARGV[3])
    redis.call("ZREM", KEYS[5], ARGV[3])
    recall(job, KEYS[6], ARGV[3])
end
if state ~= "running" then
    return {}
end
local owner = redis.call("HGET", job, "claim_owner")
if owner and owner ~= ARGV[1] and tonumber(redis.call("HGET", job, "claim_until")) > now() then
    return {}
end
redis.call("HSET", job, "claim_owner", ARGV[1], "claim_until", now() + ARGV[2])
return redis.call("HGETALL", job)
