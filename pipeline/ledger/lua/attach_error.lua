-- attach_error: let a dead letter tell of its last try, unless it has been put back since.
-- KEYS: messages of dead letters
-- ARGV: letter id, message
-- Returns 1 if it is there. A message that was handed to another worker meanwhile is no letter.
if redis.call("HEXISTS", KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
