-- claim_bundle: let one bundler at a time build the bundle of a job whose chunks are all staged.
-- KEYS: job, staged
-- ARGV: claimant, lease (ms)
-- Returns {} when there is nothing to bundle or another holds the claim; else all fields of the job.
local state = redis.call("HGET", KEYS[1], "state")
if state ~= "running"
    or redis.call("HLEN", KEYS[2]) ~= tonumber(redis.call("HGET", KEYS[1], "chunks")) then
    return {}
end
local owner = redis.call("HGET", KEYS[1], "claim_owner")
if owner and owner ~= ARGV[1] and tonumber(redis.call("HGET", KEYS[1], "claim_until")) > now() then
    return {}
end
redis.call("HSET", KEYS[1], "claim_owner", ARGV[1], "claim_until", now() + ARGV[2])
return redis.call("HGETALL", KEYS[1])
