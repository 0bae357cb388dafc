-- nudge_callbacks: find callbacks that are due and that nobody sends.
-- KEYS: callbacks
-- ARGV: how many at most, time (ms) for which those found are left alone
-- Returns their task ids.
local found = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now(), "LIMIT", 0, ARGV[1])
for _, task_id in ipairs(found) do
    redis.call("ZADD", KEYS[1], now() + ARGV[2], task_id)
end
return found
