-- lease_key: renew or end the lease of an idempotency key, unless another request took the key over.
-- KEYS: idempotency key
-- ARGV: task id, end of the caller's lease (ms), length of the new lease (ms; 0 ends the lease)
-- Returns the end of the new lease (ms); 0 when another request has taken over the key, or when a
-- request with the key was accepted.
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
