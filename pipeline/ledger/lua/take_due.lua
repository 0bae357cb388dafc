-- take_due: find tasks that are due by an index of times (ms) and that nobody has taken.
-- KEYS: index
-- ARGV: how many at most, time (ms) for which those found are left alone, how long (ms) they have to
--       have been due
-- Returns their task ids.
local due = now() - ARGV[3]
local found = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", due, "LIMIT", 0, ARGV[1])
for _, task_id in ipairs(found) do
    redis.call("ZADD", KEYS[1], now() + ARGV[2], task_id)
end
return found
