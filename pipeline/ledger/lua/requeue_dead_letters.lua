-- requeue_dead_letters: move dead letters back to their queue, each at most once.
-- KEYS: dead letters, messages of dead letters, queue, messages of the queue
-- ARGV: dead letter id, message, dead letter id, message, …
-- Returns the number of dead letters that were moved.
local moved = 0
for i = 1, #ARGV, 2 do
    redis.call("ZREM", KEYS[1], ARGV[i])
    if redis.call("HDEL", KEYS[2], ARGV[i]) == 1 then
        redis.call("HSET", KEYS[4], ARGV[i], ARGV[i + 1])
        redis.call("RPUSH", KEYS[3], ARGV[i])
        moved = moved + 1
    end
end
return moved
