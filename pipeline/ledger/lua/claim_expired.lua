-- claim_expired: return expired jobs and mark them as being deleted. Neither a message nor a retry
-- reopens a marked job.
-- KEYS: ended jobs
-- ARGV: prefix and suffix of the task id in a job's key, latest time of the end (ms), largest
--       number of jobs
-- Returns {task id, state, key id, …}. State and key id are "" for a job without an entry. The
-- state is "newer" for a job of a newer release, which has to delete it. A job that its entry
-- reports as in flight has not ended, so the script only removes the job from the index.
local reply = {}
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
        reply[#reply + 1] = task_id
        reply[#reply + 1] = state or ""
        reply[#reply + 1] = key_id
    end
end
return reply
