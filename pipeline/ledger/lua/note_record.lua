-- note_record: S3 has been told how a job stands: its record is there, or it has none to be written.
-- KEYS: job, unrecorded ends
-- ARGV: task id, the end that was told (ms), or "" of a job without one
-- Returns 1; 0 when the job was opened again or has ended anew since. What was written may then stand
-- over the record of the later end, which is to be written once more.
if (redis.call("HGET", KEYS[1], "finished_at") or "") == ARGV[2] then
    redis.call("ZREM", KEYS[2], ARGV[1])
    return 1
end
redis.call("ZADD", KEYS[2], now(), ARGV[1])
return 0
