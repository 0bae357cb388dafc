-- record_attempt_error: an attempt ended with an error and not with its worker; Dramatiq counts those.
-- KEYS: attempts, excused, errors
-- ARGV: chunk index, error code, error
-- Returns nothing. The lease stays: should the retry not come, the sweep brings the chunk back.
local begun = tonumber(redis.call("HGET", KEYS[1], ARGV[1]) or 0)
if begun > tonumber(redis.call("HGET", KEYS[2], ARGV[1]) or 0) then
    redis.call("HINCRBY", KEYS[2], ARGV[1], 1)
    redis.call("HSET", KEYS[3], ARGV[1], cjson.encode({code = ARGV[2], detail = ARGV[3]}))
end
