-- diagnose_job: return the action that a stalled job in flight needs, and count it as progress.
-- KEYS: job, staged, leases, active jobs
-- ARGV: task id, patience (ms) when the queues are empty, patience (ms) when they are not,
--       "1" when the queues are empty, "0" when the broker is unavailable
-- Returns {"ended"}; {"late"}, past its deadline; {"bundle"}, to be bundled;
-- {"chunks", index, …}, to be rendered; or {"moving"}, no action needed.
-- When the broker is unavailable, only {"ended"}, {"late"} or {"moving"} is returned, and no
-- progress is counted.
local job = KEYS[1]
if newer(job) then
    return NEWER
end
local state = redis.call("HGET", job, "state")
if state ~= "pending" and state ~= "running" then
    redis.call("ZREM", KEYS[4], ARGV[1])
    return {"ended"}
end
local at = now()
if at > tonumber(redis.call("HGET", job, "deadline_at")) then
    return {"late"}
end
if ARGV[5] == "0" then
    return {"moving"}
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
-- Only the few chunks that were begun and are not staged have a lease. While a job makes progress,
-- the cost of this check does not depend on its number of chunks.
local lost, leased = {}, {}
local leases = redis.call("HGETALL", KEYS[3])
for i = 1, #leases, 2 do
    leased[leases[i]] = true
    if tonumber(leases[i + 1]) < at then
        redis.call("HDEL", KEYS[3], leases[i])
        if redis.call("HEXISTS", KEYS[2], leases[i]) == 0 then
            lost[#lost + 1] = tonumber(leases[i])
        end
    end
end
if idle > tonumber(ARGV[4] == "1" and ARGV[2] or ARGV[3]) then
    local staged = {}
    for _, index in ipairs(redis.call("HKEYS", KEYS[2])) do
        staged[index] = true
    end
    for index = 0, chunks - 1 do
        local name = string.format("%d", index)
        if not staged[name] and not leased[name] then
            lost[#lost + 1] = index
        end
    end
end
if #lost == 0 then
    return {"moving"}
end
redis.call("HSET", job, "moved_at", at)
table.sort(lost)
table.insert(lost, 1, "chunks")
return lost
