-- discard_job: forget a job: it could not be enqueued, or it outlived its time.
-- KEYS: active jobs, ended jobs, jobs of its API key, all jobs, callbacks, unrecorded ends, then
--       every key of the job
-- ARGV: task id
for i = 1, 6 do
    redis.call("ZREM", KEYS[i], ARGV[1])
end
for i = 7, #KEYS do
    redis.call("DEL", KEYS[i])
end
