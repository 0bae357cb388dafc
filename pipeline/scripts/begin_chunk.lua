-- begin_chunk: count a delivery and say what to render, or that there is nothing to do.
-- KEYS: job, ranges, staged, attempts
-- ARGV: chunk index
-- Returns {} when the job is unknown or completed or the chunk is staged; else
-- {attempt, range, all fields of the job}.
-- A chunk of a failed job is rendered all the same: its message was put back by hand.
local state = redis.call("HGET", KEYS[1], "state")
if not state or state == "completed" or redis.call("HEXISTS", KEYS[3], ARGV[1]) == 1 then
    return {}
end
redis.call("HSET", KEYS[1], "state", transition(state, "begin"))
local attempt = redis.call("HINCRBY", KEYS[4], ARGV[1], 1)
return {attempt, redis.call("HGET", KEYS[2], ARGV[1]), redis.call("HGETALL", KEYS[1])}
