-- hold_lease: acquire a lease, or renew it for the process that holds it.
-- KEYS: lease
-- ARGV: holder, lease (ms)
-- Returns 1 if the holder has the lease now, 0 if another process has it.
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
