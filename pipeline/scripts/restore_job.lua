-- restore_job: enter a job that has ended, from its result record, after Redis lost it.
-- KEYS: job, ranges, ended jobs, jobs of its API key, all jobs, callbacks
-- ARGV: task id, created at (ms), finished at (ms), number of fields, field, value, …,
--       range of chunk 0, 1, …
-- A callback of which the fields say nothing was not delivered, as far as S3 knows: it is due now.
-- Returns 1 if it was entered now, 0 if it was there already.
if redis.call("EXISTS", KEYS[1]) == 1 then
    return 0
end
local fields = tonumber(ARGV[4])
for i = 5, 4 + 2 * fields, 2 do
    redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1])
end
for i = 5 + 2 * fields, #ARGV do
    redis.call("HSET", KEYS[2], i - 5 - 2 * fields, ARGV[i])
end
redis.call("HSET", KEYS[1], "created_at", ARGV[2], "finished_at", ARGV[3])
redis.call("ZADD", KEYS[3], ARGV[3], ARGV[1])
redis.call("ZADD", KEYS[4], ARGV[2], ARGV[1])
redis.call("ZADD", KEYS[5], ARGV[2], ARGV[1])
if redis.call("HEXISTS", KEYS[1], "callback_state") == 0 then
    call_back(KEYS[1], KEYS[6], ARGV[1])
end
return 1
