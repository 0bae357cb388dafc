-- reserve_key: take an Idempotency-Key, find it taken, or take over one whose holder died.
-- KEYS: idempotency key
-- ARGV: digest of the body, task id, lease (ms), lifetime (ms)
-- Returns {verdict, task id, end of the lease}: "new" (with the first holder's task id when it is
-- taken over), "replay", "busy" or "mismatch". No two holders have a lease with the same end.
local key, lease = KEYS[1], now() + ARGV[3]
if redis.call("EXISTS", key) == 0 then
    redis.call("HSET", key, "body", ARGV[1], "task_id", ARGV[2], "until", lease)
    redis.call("PEXPIRE", key, ARGV[4])
    return {"new", ARGV[2], lease}
end
local task_id = redis.call("HGET", key, "task_id")
if redis.call("HGET", key, "body") ~= ARGV[1] then
    return {"mismatch", task_id, 0}
end
if redis.call("HEXISTS", key, "done") == 1 then
    return {"replay", task_id, 0}
end
local before = tonumber(redis.call("HGET", key, "until"))
if before > now() then
    return {"busy", task_id, 0}
end
lease = math.max(lease, before + 1)
redis.call("HSET", key, "until", lease)
return {"new", task_id, lease}
