-- list_jobs: return a page of an index of jobs, newest first.
-- KEYS: index
-- ARGV: prefix and suffix of the task id in a job's key, largest number of rows, largest number of
--       jobs read, latest creation time (ms) or "+inf", task id of the previous page's last job or
--       "", earliest creation time (ms) or "-inf", then field, value, … that a job must have
-- Returns {creation time (ms) and task id of the last job read, then the task id of each row}. The
-- next page begins after the last job read. The first task id is "" on the last page.
local latest, before, earliest = ARGV[5], ARGV[6], tonumber(ARGV[7]) or -math.huge
local rank = latest == "+inf" and 0 or redis.call("ZCOUNT", KEYS[1], "(" .. latest, "+inf")
local page, left = {"", ""}, tonumber(ARGV[4])
local fields, values = {}, {}
for i = 8, #ARGV, 2 do
    fields[#fields + 1] = ARGV[i]
    values[#values + 1] = ARGV[i + 1]
end
local function matches(task_id)
    if #fields == 0 then
        return true
    end
    local found = redis.call("HMGET", ARGV[1] .. task_id .. ARGV[2], unpack(fields))
    for i = 1, #fields do
        if found[i] ~= values[i] then
            return false
        end
    end
    return true
end
while true do
    local batch = redis.call("ZREVRANGE", KEYS[1], rank, rank + 99, "WITHSCORES")
    for i = 1, #batch, 2 do
        local task_id, created = batch[i], batch[i + 1]
        if tonumber(created) < earliest then
            page[2] = ""
            return page
        end
        local passed = before ~= "" and created == latest and task_id >= before
        if not passed then
            if #page - 2 == tonumber(ARGV[3]) or left == 0 then
                return page
            end
            left = left - 1
            if matches(task_id) then
                page[#page + 1] = task_id
            end
            page[1], page[2] = created, task_id
        end
    end
    if #batch < 200 then
        page[2] = ""
        return page
    end
    rank = rank + 100
end
