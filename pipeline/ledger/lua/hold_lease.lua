-- hold_lease: take a lease, or keep one that is held already.
-- KEYS: lease
-- ARGV: holder, lease (ms)
-- Returns 1 if it is held now.
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
