-- count_unprocessed: count the chunks of some jobs in flight that are not staged, by tenant.
-- KEYS: active jobs
-- ARGV: prefix and suffix of a job's key, suffix of the key of its staged chunks, rank of the first
--       job, number of jobs
-- Returns {number of jobs in flight, tenant, number of chunks, tenant, number of chunks, …}.
-- A job whose chunks are all staged counts as one chunk, because its bundle is not built.
local reply, counts = {redis.call("ZCARD", KEYS[1])}, {}
for _, task_id in ipairs(redis.call("ZRANGE", KEYS[1], ARGV[4], ARGV[4] + ARGV[5] - 1)) do
    local job = redis.call("HMGET", ARGV[1] .. task_id .. ARGV[2], "key_id", "chunks")
    if job[1] and job[2] then  -- else the job is being deleted
        local left = job[2] - redis.call("HLEN", ARGV[1] .. task_id .. ARGV[3])
        counts[job[1]] = (counts[job[1]] or 0) + math.max(1, left)
    end
end
for tenant, count in pairs(counts) do
    reply[#reply + 1] = tenant
    reply[#reply + 1] = count
end
return reply
