-- claim_callback: begin an attempt to deliver a job's callback, if the callback is due.
-- KEYS: job, callbacks
-- ARGV: task id, lease (ms), id of the message that requests the attempt
-- Returns {} when the callback is not due or another attempt is in progress; else
-- {attempt, all fields of the job}.
-- A failed callback is attempted again only for the message of its last attempt. That message either
-- became a dead letter and was requeued, or its worker died before it became a dead letter. In the
-- second case, it has to become a dead letter now. Any other message is a duplicate.
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
