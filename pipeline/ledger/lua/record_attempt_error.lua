-- record_attempt_error: record that an attempt ended with an error and not with the death of its
-- worker. Dramatiq limits the retries after errors, so such an attempt does not count as a crash.
-- KEYS: attempts, handled errors, errors
-- ARGV: chunk index, error code, error
-- Returns nothing. The lease is kept: if no retry follows, the sweep enqueues the chunk again.
local begun = tonumber(redis.call("HGET", KEYS[1], ARGV[1]) or 0)
if begun > tonumber(redis.call("HGET", KEYS[2], ARGV[1]) or 0) then
    redis.call("HINCRBY", KEYS[2], ARGV[1], 1)
    redis.call("HSET", KEYS[3], ARGV[1], cjson.encode({code = ARGV[2], detail = ARGV[3]}))
end
