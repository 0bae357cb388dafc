"""The ledger: the state of all jobs in Redis, changed by atomic Lua scripts."""
