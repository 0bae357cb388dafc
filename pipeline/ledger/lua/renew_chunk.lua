-- renew_chunk: renew the lease of a chunk that is being processed.
-- KEYS: job, leases
-- ARGV: chunk index, lease (ms); optionally a claimant, whose claim on the bundle is renewed too
-- Returns nothing. A chunk without a lease was staged, has failed, or its lease has expired. It
-- does not get a new one.
if redis.call("HEXISTS", KEYS[2], ARGV[1]) == 1 then
    redis.call("HSET", KEYS[2], ARGV[1], now() + ARGV[2])
    redis.call("HSET", KEYS[1], "moved_at", now())
end
if ARGV[3] and redis.call("HGET", KEYS[1], "claim_owner") == ARGV[3] then
    redis.call("HSET", KEYS[1], "claim_until", now() + ARGV[2])
end
