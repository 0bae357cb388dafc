-- examine_job: say what a job in flight needs, if nobody is moving it, and count that as a move.
-- KEYS: job, staged, leases, active jobs
-- ARGV: task id, patience (ms) when the queues are empty, patience (ms) when they are not,
--       "1" when the queues are empty
-- Returns {"ended"}, {"late"}, {"bundle"}, {"chunks", index, …} or {"moving"}.
local job = KEYS[1]
local state = redis.call("HGET", job, "state")
if state ~= "pending" and state ~= "running" then
    redis.call("ZREM", KEYS[4], ARGV[1])
    return {"ended"}
end
local at = now()
if at > tonumber(redis.call("HGET", job, "deadline_at")) then
    return {"late"}
end
local idle = at - redis.call("HGET", job, "moved_at")
local chunks = tonumber(redis.call("HGET", job, "chunks"))
if state == "running" and redis.call("HLEN", KEYS[2]) == chunks then
    local claimed_until = tonumber(redis.call("HGET", job, "claim_until") or 0)
    if claimed_until > at or idle < tonumber(ARGV[2]) then
        return {"moving"}
    end
    redis.call("HSET", job, "moved_at", at)
    return {"bundle"}
end
local lost = {"chunks"}
local patience = tonumber(ARGV[4] == "1" and ARGV[2] or ARGV[3])
for index = 0, chunks - 1 do
    if redis.call("HEXISTS", KEYS[2], index) == 0 then
        local lease = redis.call("HGET", KEYS[3], index)
        if lease and tonumber(lease) < at or not lease and idle > patience then
            lost[#lost + 1] = index
            redis.call("HDEL", KEYS[3], index)
        end
    end
end
if #lost == 1 then
    return {"moving"}
end
redis.call("HSET", job, "moved_at", at)
return lost
