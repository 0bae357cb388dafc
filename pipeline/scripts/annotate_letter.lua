-- annotate_letter: let a dead letter tell of its last try, unless it has been put back since.
-- KEYS: messages of dead letters
-- ARGV: letter id, message
if redis.call("HEXISTS", KEYS[1], ARGV[1]) == 1 then
    redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
end
