-- stage_chunk: record a staged chunk once; reopen a failed job if no other chunk has failed.
-- KEYS: job, staged, failures, leases, active jobs, ended jobs, drained chunks, callbacks, minutes,
--       dead letters
-- ARGV: chunk index, record of the staged chunk, number of its items, task id, deadline (ms from
--       now) of a job that is reopened, message id
-- Returns the number of chunks that are not staged yet; -1 when the job does not wait for chunks
-- now, or when the chunk failed permanently meanwhile and the message is not its requeued dead
-- letter; -2 when the job is unknown, completed or closed, so that the staged chunk is useless.
local job = KEYS[1]
local state = redis.call("HGET", job, "state")
if not state or state == "completed" or redis.call("HEXISTS", job, "closed") == 1 then
    return -2
end
if redis.call("HEXISTS", KEYS[3], ARGV[1]) == 1 and redis.call("SISMEMBER", KEYS[10], ARGV[6]) == 0 then
    return -1
end
if transition(state, "begin") ~= state then  -- begun before the job was retried
    state = transition(state, "begin")
    redis.call("HSET", job, "state", state)
end
record_staged(job, KEYS[2], KEYS[7], KEYS[9], ARGV[1], ARGV[2], ARGV[3])
redis.call("HDEL", KEYS[4], ARGV[1])
redis.call("HSET", job, "moved_at", now())
if redis.call("HDEL", KEYS[3], ARGV[1]) == 1 and redis.call("HLEN", KEYS[3]) == 0 then
    local reopened = transition(state, "reopen")
    if reopened ~= state then
        state = reopened
        redis.call("HSET", job, "state", state, "opened_at", now(), "deadline_at", now() + ARGV[5])
        redis.call("HDEL", job, "error", "error_code", "finished_at")
        redis.call("ZADD", KEYS[5], redis.call("HGET", job, "created_at"), ARGV[4])
        redis.call("ZREM", KEYS[6], ARGV[4])
        recall(job, KEYS[8], ARGV[4])
    end
end
if state ~= "running" then
    return -1
end
return redis.call("HGET", job, "chunks") - redis.call("HLEN", KEYS[2])
