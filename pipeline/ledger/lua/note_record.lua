-- note_record: note that S3 has the current result record of a job, or that the job has none.
-- KEYS: job, unrecorded jobs, purged jobs
-- ARGV: task id, end (ms) in the written record, or "" for a job without an end; SHA-256 of the bundle
--       in the record, or "" if it has none
-- Returns 1; 0 when the job was reopened or has ended again since, or when another bundle is recorded
-- by now. The written record may then have replaced a later one, so the job stays unrecorded until
-- its record is written again. The record of a purged job is deleted.
if purged(KEYS[1], KEYS[3], ARGV[1]) then
    redis.call("ZREM", KEYS[2], ARGV[1])
    return 0
end
if (redis.call("HGET", KEYS[1], "finished_at") or "") == ARGV[2]
    and (ARGV[3] == "" or bundle_sha256(KEYS[1]) == ARGV[3]) then
    redis.call("ZREM", KEYS[2], ARGV[1])
    return 1
end
redis.call("ZADD", KEYS[2], now(), ARGV[1])
return 0
