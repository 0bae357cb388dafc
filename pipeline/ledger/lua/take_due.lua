-- take_due: return the tasks that are due in an index of times (ms), and postpone them.
-- KEYS: index
-- ARGV: largest number of tasks, delay (ms) by which the returned tasks are postponed, time (ms)
--       for which a task must have been due
-- Returns the task ids.
local due = now() - ARGV[3]
local found = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", due, "LIMIT", 0, ARGV[1])
for _, task_id in ipairs(found) do
    redis.call("ZADD", KEYS[1], now() + ARGV[2], task_id)
end
return found
