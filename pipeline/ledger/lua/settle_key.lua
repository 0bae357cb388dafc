-- settle_key: record that a request with an idempotency key was accepted, or release the key.
-- KEYS: idempotency key
-- ARGV: task id, digest of the body, lifetime (ms) or "" to release the key, digest of the meaning
--       or ""
-- Returns nothing. If Redis has lost the key, recording the acceptance creates it again.
local holder = redis.call("HGET", KEYS[1], "task_id")
if ARGV[3] == "" then
    if holder == ARGV[1] and redis.call("HEXISTS", KEYS[1], "done") == 0 then
        redis.call("DEL", KEYS[1])
    end
elseif not holder or holder == ARGV[1] then
    redis.call("HSET", KEYS[1], "body", ARGV[2], "task_id", ARGV[1], "done", 1,
               "meaning", ARGV[4])
    redis.call("PEXPIRE", KEYS[1], ARGV[3])
end
