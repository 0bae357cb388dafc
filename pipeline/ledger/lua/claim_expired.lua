-- claim_expired: find jobs that ended long ago, and close them: from now on they are being removed, and
-- neither a message nor a retry opens them again.
-- KEYS: ended jobs
-- ARGV: what stands before and behind the task id in a job's key, when they ended at the latest (ms),
--       how many at most
-- Returns {task id, state, key id, …}; state and key id are "" of a job without an entry, and the state
-- is "newer" of one that a newer release has to remove. What is in flight by its entry has not ended.
local answer = {}
for _, task_id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[3], "LIMIT", 0, ARGV[4])) do
    local job = ARGV[1] .. task_id .. ARGV[2]
    local state = redis.call("HGET", job, "state")
    local key_id = redis.call("HGET", job, "key_id") or ""
    if state == "pending" or state == "running" then
        redis.call("ZREM", KEYS[1], task_id)
    else
        if newer(job) then
            state = "newer"
        elseif state then
            redis.call("HSET", job, "removing", 1, "closed", 1)
        end
        answer[#answer + 1] = task_id
        answer[#answer + 1] = state or ""
        answer[#answer + 1] = key_id
    end
end
return answer
