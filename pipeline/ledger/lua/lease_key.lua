-- lease_key: hold an Idempotency-Key for another lease, or let go of it, unless it is another's now.
-- KEYS: idempotency key
-- ARGV: task id, end of the lease that the caller has, milliseconds of another (0: let go)
-- Returns the end of the new lease; 0 when the key is another's, or its request was accepted.
local found = redis.call("HMGET", KEYS[1], "task_id", "until", "done")
if found[1] ~= ARGV[1] or tonumber(found[2]) ~= tonumber(ARGV[2]) or found[3] then
    return 0
end
local lease = 1
if ARGV[3] ~= "0" then
    lease = math.max(now() + ARGV[3], ARGV[2] + 1)
end
redis.call("HSET", KEYS[1], "until", lease)
return lease
