-- discard_job: forget a job that could not be enqueued, so that nothing of it was accepted.
-- KEYS: active jobs, jobs of its API key, then every key of the job
-- ARGV: task id
redis.call("ZREM", KEYS[1], ARGV[1])
redis.call("ZREM", KEYS[2], ARGV[1])
for i = 3, #KEYS do
    redis.call("DEL", KEYS[i])
end
