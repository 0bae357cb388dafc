-- purge_job: replace the entry of an ended job by a tombstone, so that nothing restores the job
-- while its objects are deleted from S3 and afterwards.
-- KEYS: ended jobs, jobs of its tenant, all jobs, callbacks, unrecorded jobs, purged jobs, then
--       every key of the job
-- ARGV: task id, tenant, time (ms) that the caller has to delete the objects, lifetime (ms) of the
--       tombstone, prefix of the tenant's idempotency keys
-- Returns the time (ms) from which the sweep deletes the objects, unless the caller settles the
-- purge with this time before; 0 when the job is in flight. A job that is purged already gets a
-- later time and the lifetime again.
local job = KEYS[7]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "state")
if state == "pending" or state == "running" then
    return 0
end
if state ~= "purged" then
    local key = redis.call("HGET", job, "idempotency_key")
    if key and redis.call("HGET", ARGV[5] .. key, "task_id") == ARGV[1] then
        redis.call("DEL", ARGV[5] .. key)
    end
    for i = 1, 5 do
        redis.call("ZREM", KEYS[i], ARGV[1])
    end
    for i = 7, #KEYS do
        redis.call("DEL", KEYS[i])
    end
    -- Release 0.2.0 leaves an entry of version 2 alone.
    redis.call("HSET", job, "state", "purged", "closed", 1, "version", 2, "key_id", ARGV[2])
end
local before = tonumber(redis.call("HGET", job, "purge_due_at") or 0)
local due = math.max(now() + ARGV[3], before + 1)
redis.call("HSET", job, "purge_due_at", due)
redis.call("PEXPIRE", job, ARGV[4])
redis.call("ZADD", KEYS[6], due, ARGV[1])
return due
