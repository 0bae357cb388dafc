-- renew_chunk: keep the lease of an attempt at a chunk that goes on.
-- KEYS: job, leases
-- ARGV: chunk index, lease (ms)
-- Returns nothing. A chunk without a lease was staged, has failed, or counts as lost by now: it stays
-- without one.
if redis.call("HEXISTS", KEYS[2], ARGV[1]) == 1 then
    redis.call("HSET", KEYS[2], ARGV[1], now() + ARGV[2])
    redis.call("HSET", KEYS[1], "moved_at", now())
end
