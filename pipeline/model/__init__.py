"""The types and states of jobs, chunks and records."""
