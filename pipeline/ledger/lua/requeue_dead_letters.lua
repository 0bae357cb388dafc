-- requeue_dead_letters: move dead letters back onto their queue, each at most once.
-- KEYS: dead letters, their messages, queue, its messages
-- ARGV: letter id, message, letter id, message, …
-- Returns how many were there.
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
