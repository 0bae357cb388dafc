-- unstage_chunk: mark a chunk as not staged, because its bytes in S3 differ from the recorded ones.
-- KEYS: job, staged
-- ARGV: chunk index, number of items in the chunk, claimant
-- Returns 1 if the chunk was recorded as staged, else 0. Only the claimant that holds the claim can
-- unstage a chunk: after losing its claim, a bundler may find the staged chunks missing because
-- another bundler has finished the bundle and deleted them.
if redis.call("HGET", KEYS[1], "claim_owner") ~= ARGV[3] then
    return 0
end
if redis.call("HDEL", KEYS[2], ARGV[1]) == 1 then
    redis.call("HINCRBY", KEYS[1], "processed_items", -ARGV[2])
    redis.call("HSET", KEYS[1], "moved_at", now())
    return 1
end
return 0
