-- claim_callback: begin an attempt to deliver a callback, if one is due.
-- KEYS: job, callbacks
-- ARGV: task id, lease (ms), id of the message that asks
-- Returns {} when none is due, or another is at it; else {attempt, all fields of the job}.
-- One that has failed is begun once more by the message of its last attempt alone: that became a
-- dead letter and was put back, or was lost to its worker before, and then it has to become one now.
-- Any other message about it is a stray.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "callback_state")
if not state or state == "delivered"
    or state == "failed" and redis.call("HGET", job, "callback_message") ~= ARGV[3]
    or state == "pending" and tonumber(redis.call("HGET", job, "callback_due_at")) > now() then
    return {}
end
redis.call("HSET", job, "callback_state", "pending", "callback_due_at", now() + ARGV[2],
           "callback_message", ARGV[3])
redis.call("ZADD", KEYS[2], now() + ARGV[2], ARGV[1])
local attempt = redis.call("HINCRBY", job, "callback_attempts", 1)
return {attempt, redis.call("HGETALL", job)}
