-- begin_chunk: count a delivery of a chunk and return what to render.
-- KEYS: job, ranges, staged, attempts, leases, handled errors, failures, dead letters,
--       purged jobs
-- ARGV: chunk index, lease (ms), message id, task id
-- Returns {} when there is nothing to do: the job is unknown, completed or closed, or the chunk is
-- staged, or the chunk failed permanently and the message is not its requeued dead letter. Else
-- returns {attempts that did not end with an error, range, all fields of the job, the items of the
-- only chunk or ""}.
-- The chunks of a failed job are rendered too: its unfinished chunks, and requeued dead letters.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
if purged(job, KEYS[9], ARGV[4]) then  -- a worker may have died after its late upload
    return {}
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
local found = redis.call("HMGET", KEYS[2], ARGV[1], "items")
return {attempt, found[1], redis.call("HGETALL", job), found[2] or ""}
