-- renew_chunk: renew the lease of a chunk that is being processed.
-- KEYS: job, leases
-- ARGV: chunk index, lease (ms)
-- Returns nothing. A chunk without a lease was staged, has failed, or its lease has expired. It
-- does not get a new one.
if redis.call("HEXISTS", KEYS[2], ARGV[1]) == 1 then
    redis.call("HSET", KEYS[2], ARGV[1], now() + ARGV[2])
    redis.call("HSET", KEYS[1], "moved_at", now())
end
