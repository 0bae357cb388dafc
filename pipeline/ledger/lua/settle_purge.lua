-- settle_purge: note that the objects of a purged job are deleted.
-- KEYS: job, purged jobs
-- ARGV: task id, time (ms) that purge_job returned
-- Returns nothing. When the job was purged again or an object may have been written since, the
-- time differs, and the job stays among those whose objects the sweep deletes.
if redis.call("HGET", KEYS[1], "purge_due_at") == ARGV[2] then
    redis.call("ZREM", KEYS[2], ARGV[1])
end
