-- count_items: count the items of a request in each of an API key's windows, or in none.
-- KEYS: windows, shortest first
-- ARGV: number of items; negative to take back a count; then limit, length (s), for each window
-- Returns {1 if the items are allowed, else 0, then for each window: items counted, ms until the
-- window restarts}.
local items, reply = tonumber(ARGV[1]), {1}
for i = 1, #KEYS do
    if items > 0 and (redis.call("GET", KEYS[i]) or 0) + items > tonumber(ARGV[2 * i]) then
        reply[1] = 0
    end
end
for i = 1, #KEYS do
    local counts = items > 0 or (items < 0 and redis.call("EXISTS", KEYS[i]) == 1)
    if reply[1] == 1 and counts then
        redis.call("INCRBY", KEYS[i], items)
        if redis.call("PTTL", KEYS[i]) < 0 then
            redis.call("EXPIRE", KEYS[i], ARGV[2 * i + 1])
        end
    end
    reply[#reply + 1] = math.max(0, redis.call("GET", KEYS[i]) or 0)
    reply[#reply + 1] = math.max(0, redis.call("PTTL", KEYS[i]))
end
return reply
