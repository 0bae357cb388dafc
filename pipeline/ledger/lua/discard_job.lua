-- discard_job: delete a job that could not be enqueued or whose retention period is over.
-- KEYS: active jobs, ended jobs, jobs of its tenant, all jobs, callbacks, unrecorded jobs, then
--       every key of the job
-- ARGV: task id
-- The tombstone of a job that was purged meanwhile stays.
if redis.call("HGET", KEYS[7], "state") == "purged" then
    return
end
for i = 1, 6 do
    redis.call("ZREM", KEYS[i], ARGV[1])
end
for i = 7, #KEYS do
    redis.call("DEL", KEYS[i])
end
