-- complete_chunk: record a staged chunk, once; reopen the job if this was the last of its failures.
-- KEYS: job, staged, failures, active jobs
-- ARGV: chunk index, what was staged, items in the chunk, task id
-- Returns how many chunks are still to be staged; -1 when the job is unknown or has ended.
local state = redis.call("HGET", KEYS[1], "state")
if not state then
    return -1
end
if redis.call("HSET", KEYS[2], ARGV[1], ARGV[2]) == 1 then
    redis.call("HINCRBY", KEYS[1], "processed_items", ARGV[3])
end
local was_failure = redis.call("HDEL", KEYS[3], ARGV[1]) == 1
if was_failure and redis.call("HLEN", KEYS[3]) == 0 then
    local reopened = transition(state, "reopen")
    if reopened ~= state then
        state = reopened
        redis.call("HSET", KEYS[1], "state", state)
        redis.call("HDEL", KEYS[1], "error", "error_code", "finished_at")
        redis.call("ZADD", KEYS[4], redis.call("HGET", KEYS[1], "created_at"), ARGV[4])
    end
end
if state ~= "running" then
    return -1
end
return redis.call("HGET", KEYS[1], "chunks") - redis.call("HLEN", KEYS[2])
