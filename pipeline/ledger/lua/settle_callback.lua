-- settle_callback: record the outcome of an attempt to deliver a callback.
-- KEYS: job, callbacks
-- ARGV: task id, event, attempt, "delivered", "failed" or "pending", error,
--       delay until the next attempt (ms)
-- Returns 1 if the outcome was recorded, else 0. A delivery is recorded unless its event is no
-- longer the job's current one. A failure is recorded only if no later attempt has begun.
local job = KEYS[1]
local state = redis.call("HGET", job, "callback_state")
if redis.call("HGET", job, "callback_event") ~= ARGV[2] or state == "delivered" then
    return 0
end
if ARGV[4] == "delivered" then
    redis.call("HSET", job, "callback_state", "delivered", "callback_delivered_at", now())
    redis.call("HDEL", job, "callback_due_at", "callback_error")
    redis.call("ZREM", KEYS[2], ARGV[1])
    return 1
end
if state ~= "pending" or redis.call("HGET", job, "callback_attempts") ~= ARGV[3] then
    return 0
end
redis.call("HSET", job, "callback_state", ARGV[4], "callback_error", ARGV[5])
if ARGV[4] == "failed" then
    redis.call("HDEL", job, "callback_due_at")
    redis.call("ZREM", KEYS[2], ARGV[1])
else
    redis.call("HSET", job, "callback_due_at", now() + ARGV[6])
    redis.call("ZADD", KEYS[2], now() + ARGV[6], ARGV[1])
end
return 1
