-- excuse_chunk: an attempt ended with an error and not with its worker; Dramatiq counts those.
-- KEYS: attempts
-- ARGV: chunk index
-- Returns nothing. The lease stays: should the retry not come, the sweep brings the chunk back.
if tonumber(redis.call("HGET", KEYS[1], ARGV[1]) or 0) > 0 then
    redis.call("HINCRBY", KEYS[1], ARGV[1], -1)
end
