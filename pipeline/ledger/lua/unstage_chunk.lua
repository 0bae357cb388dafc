-- unstage_chunk: forget that a chunk is staged: what lies there is not what was recorded.
-- KEYS: job, staged
-- ARGV: chunk index, items in the chunk, claimant
-- Returns 1 if it was recorded as staged. A bundler that has lost its claim may have met what another
-- has removed, for the bundle was there: only who holds the claim is believed.
if redis.call("HGET", KEYS[1], "claim_owner") ~= ARGV[3] then
    return 0
end
if redis.call("HDEL", KEYS[2], ARGV[1]) == 1 then
    redis.call("HINCRBY", KEYS[1], "processed_items", -ARGV[2])
    redis.call("HSET", KEYS[1], "moved_at", now())
    return 1
end
return 0
