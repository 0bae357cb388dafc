"""The ledger in Redis: where each job stands, every step one atomic script."""
