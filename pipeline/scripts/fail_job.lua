-- fail_job: a chunk, or the bundling, failed for good, and so does the job.
-- KEYS: job, staged, failures, active jobs
-- ARGV: task id, error code, error, chunk index or "" for the bundling
-- Returns the job's state afterwards, or false when it is unknown.
local state = redis.call("HGET", KEYS[1], "state")
if not state or ARGV[4] ~= "" and redis.call("HEXISTS", KEYS[2], ARGV[4]) == 1 then
    return state  -- what is staged did not fail: this message was a late double
end
local after = transition(state, "fail")
if ARGV[4] ~= "" and state ~= "completed" then
    redis.call("HSET", KEYS[3], ARGV[4], cjson.encode({code = ARGV[2], detail = ARGV[3]}))
end
if after ~= state then
    redis.call("HSET", KEYS[1], "state", after, "error_code", ARGV[2], "error", ARGV[3],
               "finished_at", now())
    redis.call("HDEL", KEYS[1], "claim_owner", "claim_until")
    redis.call("ZREM", KEYS[4], ARGV[1])
end
return after
