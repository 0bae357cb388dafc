-- excuse_chunk: an attempt ended with an error and not with its worker; Dramatiq counts those.
-- KEYS: attempts, leases
-- ARGV: chunk index
-- Returns nothing. Its next attempt is on its way, so nobody has to look for it.
if tonumber(redis.call("HGET", KEYS[1], ARGV[1]) or 0) > 0 then
    redis.call("HINCRBY", KEYS[1], ARGV[1], -1)
end
redis.call("HDEL", KEYS[2], ARGV[1])
