-- count_request: count a request in each of an API key's rate windows, until one of them is full.
-- KEYS: windows, shortest first
-- ARGV: limit, length (s), for each window
-- Returns {1 if the request is allowed, else 0, then for each window: requests counted, ms until
-- the window restarts}.
-- A request that a window rejects is counted in that window, but not in the longer windows.
local reply = {1}
for i = 1, #KEYS do
    local count = tonumber(redis.call("GET", KEYS[i]) or 0)
    if reply[1] == 1 then
        count = redis.call("INCR", KEYS[i])
        if redis.call("PTTL", KEYS[i]) < 0 then
            redis.call("EXPIRE", KEYS[i], ARGV[2 * i])
        end
        if count > tonumber(ARGV[2 * i - 1]) then
            reply[1] = 0
        end
    end
    reply[#reply + 1] = count
    reply[#reply + 1] = math.max(0, redis.call("PTTL", KEYS[i]))
end
return reply
