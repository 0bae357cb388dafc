-- note_record: note that S3 has the current result record of a job, or that the job has none.
-- KEYS: job, unrecorded jobs
-- ARGV: task id, end (ms) in the written record, or "" for a job without an end
-- Returns 1; 0 when the job was reopened or has ended again since. The written
-- record may then have replaced that of the later end, so the job stays unrecorded until its record
-- is written again.
if (redis.call("HGET", KEYS[1], "finished_at") or "") == ARGV[2] then
    redis.call("ZREM", KEYS[2], ARGV[1])
    return 1
end
redis.call("ZADD", KEYS[2], now(), ARGV[1])
return 0
