-- The prelude of every script of the ledger. pipeline/ledger/scripts.py puts it before each script,
-- and puts NEWER_MARK, VERSION, TRANSITIONS and DURATION_BOUNDS before the prelude.
local NEWER = redis.error_reply(
    NEWER_MARK .. " a newer release wrote the ledger entry; this release reads version " .. VERSION)
local function newer(job)
    return tonumber(redis.call("HGET", job, "version") or 1) > VERSION
end
local function transition(state, event)
    return TRANSITIONS[state .. " " .. event] or state
end
local function now()
    local time = redis.call("TIME")
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Return whether a job was purged. Its caller may have written an object of the job to S3 since, so
-- the sweep deletes the objects again.
local function purged(job, purges, task_id)
    if redis.call("HGET", job, "state") ~= "purged" then
        return false
    end
    redis.call("HDEL", job, "purge_due_at")
    redis.call("ZADD", purges, now(), task_id)
    return true
end
local function bundle_sha256(job)
    local bundle = redis.call("HGET", job, "bundle")
    return bundle and cjson.decode(bundle).sha256
end
local function recall(job, callbacks, task_id)
    redis.call("HDEL", job, "callback_state", "callback_event", "callback_attempts",
               "callback_due_at", "callback_error", "callback_delivered_at",
               "callback_message")
    redis.call("ZREM", callbacks, task_id)
end
local function call_back(job, callbacks, task_id)
    recall(job, callbacks, task_id)
    if (redis.call("HGET", job, "callback_url") or "") ~= "" then
        redis.call("HSET", job, "callback_state", "pending", "callback_attempts", 0,
                   "callback_due_at", now(), "callback_event",
                   task_id .. "_" .. redis.call("HGET", job, "finished_at"))
        redis.call("ZADD", callbacks, now(), task_id)
    end
end
-- Count a job at its end. Each field of the hash `counts` is a kind, a format and an outcome.
local function count_end(counts, job, outcome)
    local found = redis.call("HMGET", job, "format", "items", "opened_at", "created_at")
    local elapsed = math.max(0, now() - (found[3] or found[4]))
    local labels = found[1] .. " " .. outcome
    redis.call("HINCRBY", counts, "jobs " .. labels, 1)
    redis.call("HINCRBY", counts, "items " .. labels, found[2])
    redis.call("HINCRBY", counts, "milliseconds " .. labels, elapsed)
    for _, bound in ipairs(DURATION_BOUNDS) do
        if elapsed <= bound * 1000 then
            redis.call("HINCRBY", counts, bound .. " " .. labels, 1)
            break
        end
    end
end
local function count(minutes, what, amount)
    local minute = math.floor(now() / 60000)
    local field = what .. ":" .. minute % 60
    local before = string.match(redis.call("HGET", minutes, field) or "", "^" .. minute .. " (.*)")
    redis.call("HSET", minutes, field, minute .. " " .. (before or 0) + amount)
end
-- Record a staged chunk, and count it unless it is recorded already. The hash `drained` has the
-- numbers of chunks staged in intervals of ten seconds.
local function record_staged(job, staged, drained, minutes, index, record, items)
    if redis.call("HSET", staged, index, record) == 0 then
        return
    end
    redis.call("HINCRBY", job, "processed_items", items)
    local bucket = math.floor(now() / 10000)
    if redis.call("HINCRBY", drained, bucket, 1) == 1 then
        local found = redis.call("HGETALL", drained)
        for i = 1, #found, 2 do
            if tonumber(found[i]) < bucket - 7 then
                redis.call("HDEL", drained, found[i])
            end
        end
    end
    count(minutes, "items", items)
end
