-- create_job: create the entry of an accepted job, once.
-- KEYS: job, ranges, active jobs, jobs of its tenant, all jobs, purged jobs
-- ARGV: task id, created at (ms), deadline (ms from now), items of the only chunk or "", number of
--       fields, field, value, …, range of chunk 0, 1, …
-- Returns 1 if the entry was created, 0 if it already existed, -1 if the job was purged.
if purged(KEYS[1], KEYS[6], ARGV[1]) then
    return -1
end
if redis.call("EXISTS", KEYS[1]) == 1 then
    return 0
end
local fields = tonumber(ARGV[5])
for i = 6, 5 + 2 * fields, 2 do
    redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call("HSET", KEYS[1], "state", "pending", "created_at", ARGV[2], "processed_items", 0,
           "deadline_at", now() + ARGV[3], "moved_at", now())
for i = 6 + 2 * fields, #ARGV do
    redis.call("HSET", KEYS[2], i - 6 - 2 * fields, ARGV[i])
end
if ARGV[4] ~= "" then
    redis.call("HSET", KEYS[2], "items", ARGV[4])
end
redis.call("ZADD", KEYS[3], ARGV[2], ARGV[1])
redis.call("ZADD", KEYS[4], ARGV[2], ARGV[1])
redis.call("ZADD", KEYS[5], ARGV[2], ARGV[1])
return 1
