-- diagnose_job: return what a job in flight needs, if nothing moves it, and count that as a move.
-- KEYS: job, staged, leases, active jobs
-- ARGV: task id, patience (ms) when the queues are empty, patience (ms) when they are not,
--       "1" when the queues are empty, "0" when the broker is away: then only an end is told, or
--       that the job is late, and no move is used up
-- Returns {"ended"}, {"late"}, {"bundle"}, {"chunks", index, …} or {"moving"}.
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
-- Only chunks that were begun and are not staged have a lease, a few at a time: while a job moves,
-- a look at it costs the same however many chunks it has.
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
