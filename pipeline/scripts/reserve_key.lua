-- reserve_key: take an Idempotency-Key, find it taken, or take over one whose holder died.
-- KEYS: idempotency key
-- ARGV: digest of the body, task id, lease (ms), lifetime (ms)
-- Returns {verdict, task id}: "new" (with the first holder's task id when it is taken over),
-- "replay", "busy" or "mismatch".
local key = KEYS[1]
if redis.call("EXISTS", key) == 0 then
    redis.call("HSET", key, "body", ARGV[1], "task_id", ARGV[2], "until", now() + ARGV[3])
    redis.call("PEXPIRE", key, ARGV[4])
    return {"new", ARGV[2]}
end
local task_id = redis.call("HGET", key, "task_id")
if redis.call("HGET", key, "body") ~= ARGV[1] then
    return {"mismatch", task_id}
end
if redis.call("HEXISTS", key, "done") == 1 then
    return {"replay", task_id}
end
if tonumber(redis.call("HGET", key, "until")) > now() then
    return {"busy", task_id}
end
redis.call("HSET", key, "until", now() + ARGV[3])
return {"new", task_id}
