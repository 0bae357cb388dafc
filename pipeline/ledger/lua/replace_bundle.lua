-- replace_bundle: record the bundle that is in S3 in place of the recorded one.
-- KEYS: job, unrecorded jobs
-- ARGV: task id, SHA-256 of the recorded bundle, the bundle that is in S3
-- Returns the time of the job's end (ms); false when the job is not completed, or when its recorded
-- bundle is another one by now.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
if redis.call("HGET", job, "state") ~= "completed" or bundle_sha256(job) ~= ARGV[2] then
    return false
end
-- A bundler with the same bytes as the former bundle may be late too.
redis.call("HSET", job, "upload:" .. ARGV[2], redis.call("HGET", job, "bundle"), "bundle", ARGV[3])
redis.call("ZADD", KEYS[2], now(), ARGV[1])
return redis.call("HGET", job, "finished_at")
