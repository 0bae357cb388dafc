-- reserve_key: reserve an idempotency key, or take over a reservation whose lease has expired.
-- KEYS: idempotency key
-- ARGV: digest of the body, task id, lease (ms), lifetime (ms), digest of the meaning or "", prefix
--       and suffix of the task id in a job's key
-- Returns {verdict, task id, end of the lease (ms)}. The verdict is "new", with the first holder's
-- task id if the reservation was taken over; "replay" if a request with the key was accepted;
-- "busy" if another request holds the key; or "mismatch" if the key was used with a request of
-- another body and another meaning.
-- No two leases of a key have the same end, so the end identifies the holder.
local key, lease = KEYS[1], now() + ARGV[3]
local holder = redis.call("HGET", key, "task_id")
if holder and redis.call("HGET", ARGV[6] .. holder .. ARGV[7], "state") == "purged" then
    -- Release 0.2.0, or a process that confirms the key late, has recorded the key again.
    redis.call("DEL", key)
    holder = false
end
if not holder then
    redis.call("HSET", key, "body", ARGV[1], "task_id", ARGV[2], "until", lease,
               "meaning", ARGV[5])
    redis.call("PEXPIRE", key, ARGV[4])
    return {"new", ARGV[2], lease}
end
local same_meaning = ARGV[5] ~= "" and redis.call("HGET", key, "meaning") == ARGV[5]
if redis.call("HGET", key, "body") ~= ARGV[1] and not same_meaning then
    return {"mismatch", holder, 0}
end
if redis.call("HEXISTS", key, "done") == 1 then
    return {"replay", holder, 0}
end
local before = tonumber(redis.call("HGET", key, "until"))
if before > now() then
    return {"busy", holder, 0}
end
lease = math.max(lease, before + 1)
redis.call("HSET", key, "until", lease)
return {"new", holder, lease}
