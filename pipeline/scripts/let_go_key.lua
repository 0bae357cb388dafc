-- let_go_key: end the lease of an Idempotency-Key of whose request nobody knows whether it was
-- accepted. The next request with the key takes the task id over at once.
-- KEYS: idempotency key
-- ARGV: task id
-- Returns nothing.
local key = KEYS[1]
if redis.call("HGET", key, "task_id") == ARGV[1] and redis.call("HEXISTS", key, "done") == 0 then
    redis.call("HSET", key, "until", 0)
end
