-- attach_error: attach the last error to a dead letter, unless it has been requeued since.
-- KEYS: messages of dead letters
-- ARGV: dead letter id, message with the error
-- Returns 1 if the dead letter exists, else 0. A message that was delivered to another worker
-- meanwhile is not a dead letter.
if redis.call("HEXISTS", KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
