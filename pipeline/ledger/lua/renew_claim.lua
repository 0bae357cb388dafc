-- renew_claim: renew a claim, or release it at once with a lease of 0; announce a bundle.
-- KEYS: job
-- ARGV: claimant, lease (ms); optionally the SHA-256 of the bundle whose upload the claimant is about
--       to complete, and the bundle
-- Returns 1, or 0 when another claimant has taken the claim or the job has ended.
if redis.call("HGET", KEYS[1], "claim_owner") ~= ARGV[1] then
    return 0
end
redis.call("HSET", KEYS[1], "claim_until", now() + ARGV[2])
if ARGV[3] then
    redis.call("HSET", KEYS[1], "upload:" .. ARGV[3], ARGV[4])
end
return 1
