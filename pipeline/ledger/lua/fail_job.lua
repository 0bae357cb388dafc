-- fail_job: fail a job, because a chunk or the bundling failed permanently, the job was cancelled,
-- or its deadline has passed.
-- KEYS: job, staged, failures, attempts, leases, handled errors, errors, active jobs, ended jobs,
--       channel of ended jobs, callbacks, counts, minutes, dead letters, unrecorded jobs, ranges
-- ARGV: task id, error code, error, chunk index or "", "closed" when no message may reopen the job,
--       id of the dead letter or "", id that the dead letter had as a message
-- Returns the job's error code, error and end (ms) after this step, or {} when the job has not
-- failed. The failure of a late duplicate of a staged chunk changes nothing.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "state")
if not state or state == "purged" then
    return {}
end
local late_double = ARGV[4] ~= "" and redis.call("HEXISTS", KEYS[2], ARGV[4]) == 1
if not late_double and state ~= "completed" then
    if ARGV[6] ~= "" then
        redis.call("SREM", KEYS[14], ARGV[7])  -- a requeued dead letter that failed again
        redis.call("SADD", KEYS[14], ARGV[6])
    end
    if ARGV[4] ~= "" then
        redis.call("HSET", KEYS[3], ARGV[4], cjson.encode({code = ARGV[2], detail = ARGV[3]}))
        redis.call("HDEL", KEYS[5], ARGV[4])
        -- The attempts of a requeued dead letter are counted from 0 again.
        redis.call("HSET", KEYS[6], ARGV[4], redis.call("HGET", KEYS[4], ARGV[4]) or 0)
    end
    local after = transition(state, "fail")
    if after ~= state then
        state = after
        redis.call("HSET", job, "state", state, "error_code", ARGV[2], "error", ARGV[3],
                   "finished_at", now())
        redis.call("HDEL", job, "claim_owner", "claim_until")
        redis.call("HDEL", KEYS[16], "items")
        if ARGV[5] == "closed" then
            redis.call("HSET", job, "closed", 1)
            redis.call("HSET", job, "processed_items", 0)
            redis.call("DEL", KEYS[2])
            redis.call("ZADD", KEYS[15], now(), ARGV[1])
        end
        redis.call("ZREM", KEYS[8], ARGV[1])
        redis.call("ZADD", KEYS[9], now(), ARGV[1])
        redis.call("PUBLISH", KEYS[10], ARGV[1])
        call_back(job, KEYS[11], ARGV[1])
        count_end(KEYS[12], job, ARGV[2])
        if ARGV[2] ~= "cancelled" then
            count(KEYS[13], "failed", 1)
        end
    end
end
if state ~= "failed" then
    return {}
end
return redis.call("HMGET", job, "error_code", "error", "finished_at")
