-- begin_chunk: count a delivery and say what to render, or that there is nothing to do.
-- KEYS: job, ranges, staged, attempts, leases, excused, failures, dead letters
-- ARGV: chunk index, lease (ms), message id
-- Returns {} when the job is unknown, completed or closed, or the chunk is staged, or it failed for
-- good and this is not its dead letter but a message about it that came late or once more; else
-- {attempts that did not end with an error, range, all fields of the job}.
-- A chunk of a failed job is rendered all the same: the others finish, or it was put back by hand.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "state")
if not state or state == "completed" or redis.call("HEXISTS", job, "closed") == 1
    or redis.call("HEXISTS", KEYS[3], ARGV[1]) == 1
    or (redis.call("HEXISTS", KEYS[7], ARGV[1]) == 1
        and redis.call("SISMEMBER", KEYS[8], ARGV[3]) == 0) then
    return {}
end
redis.call("HSET", job, "state", transition(state, "begin"), "moved_at", now())
redis.call("HSET", KEYS[5], ARGV[1], now() + ARGV[2])
local attempt = redis.call("HINCRBY", KEYS[4], ARGV[1], 1)
    - (redis.call("HGET", KEYS[6], ARGV[1]) or 0)
return {attempt, redis.call("HGET", KEYS[2], ARGV[1]), redis.call("HGETALL", job)}
