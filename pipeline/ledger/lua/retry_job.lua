-- retry_job: reopen a failed job to render the chunks that are not staged.
-- KEYS: job, staged, failures, attempts, leases, handled errors, errors, active jobs, ended jobs,
--       callbacks, jobs to compare with their records
-- ARGV: task id, deadline (ms from now)
-- Returns {} when the job is unknown, has not failed or is being deleted; else
-- {1, index of each chunk to render}.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "state")
if not state or transition(state, "retry") == state or redis.call("HEXISTS", job, "removing") == 1 then
    return {}
end
redis.call("HSET", job, "state", transition(state, "retry"), "deadline_at", now() + ARGV[2],
           "moved_at", now(), "opened_at", now())
redis.call("HDEL", job, "error", "error_code", "finished_at", "closed")
redis.call("DEL", KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
redis.call("ZADD", KEYS[8], redis.call("HGET", job, "created_at"), ARGV[1])
redis.call("ZREM", KEYS[9], ARGV[1])
-- A late write may still bring back the record of the end that is now void. The sweep deletes it.
redis.call("ZADD", KEYS[11], now(), ARGV[1])
recall(job, KEYS[10], ARGV[1])
local reply = {1}
for index = 0, redis.call("HGET", job, "chunks") - 1 do
    if redis.call("HEXISTS", KEYS[2], index) == 0 then
        reply[#reply + 1] = index
    end
end
if #reply == 1 then  -- only the bundle is missing
    redis.call("HSET", job, "state", transition("pending", "begin"))
end
return reply
