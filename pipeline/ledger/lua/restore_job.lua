-- restore_job: create the entry of an ended job from its result record, after Redis lost the job or
-- its end.
-- KEYS: job, ranges, ended jobs, jobs of its tenant, all jobs, callbacks, active jobs, channel of
--       ended jobs, counts, then all other keys of the job
-- ARGV: task id, created at (ms), finished at (ms), number of fields, field, value, …,
--       range of chunk 0, 1, …
-- If the fields have no callback state, S3 has no record that the callback was delivered. The
-- callback is due at once then.
-- If an entry is in flight, Redis lost the job's end and everything written after it, unless the
-- job was reopened since the end.
-- Returns 1 if the entry was created, 0 if it already existed.
local state = redis.call("HGET", KEYS[1], "state")
local lost = state == "pending" or state == "running"
if state and not lost
    or tonumber(redis.call("HGET", KEYS[1], "opened_at") or 0) > tonumber(ARGV[3]) then
    return 0
end
redis.call("DEL", KEYS[1], KEYS[2], unpack(KEYS, 10))
redis.call("ZREM", KEYS[7], ARGV[1])
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
if lost then
    redis.call("PUBLISH", KEYS[8], ARGV[1])
    count_end(KEYS[9], KEYS[1], redis.call("HGET", KEYS[1], "error_code") or "completed")
end
return 1
