"""Sweep: rescues stalled jobs, restores lost jobs and deletes expired jobs."""
