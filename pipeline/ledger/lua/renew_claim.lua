-- renew_claim: renew a claim, or release it at once with a lease of 0.
-- KEYS: job
-- ARGV: claimant, lease (ms)
-- Returns 1, or 0 when another claimant has taken the claim or the job has ended.
if redis.call("HGET", KEYS[1], "claim_owner") ~= ARGV[1] then
    return 0
end
redis.call("HSET", KEYS[1], "claim_until", now() + ARGV[2])
return 1
