-- claim_only_chunk: claim the bundle of a job for the worker that has the job's only chunk in memory,
-- or renew that claim; announce the bundle.
-- KEYS: job, staged, failures
-- ARGV: claimant, lease (ms); optionally the SHA-256 of the bundle that the claimant is about to
--       upload, and the bundle
-- Returns 1; 0 when another worker has staged the chunk or holds the claim, or when the job does not
-- wait for the chunk any more. A failed job waits only for chunks that are staged.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "state")
if not state or transition(state, "begin") == "failed" or state == "completed" or state == "purged"
    or redis.call("HLEN", KEYS[2]) > 0 or redis.call("HLEN", KEYS[3]) > 0 then
    return 0
end
local owner = redis.call("HGET", job, "claim_owner")
if owner and owner ~= ARGV[1] and tonumber(redis.call("HGET", job, "claim_until")) > now() then
    return 0
end
-- An attempt that was begun before the job was retried may find it pending.
redis.call("HSET", job, "state", transition(state, "begin"), "moved_at", now(),
           "claim_owner", ARGV[1], "claim_until", now() + ARGV[2])
if ARGV[3] then
    redis.call("HSET", job, "upload:" .. ARGV[3], ARGV[4])
end
return 1
