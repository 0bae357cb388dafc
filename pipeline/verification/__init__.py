"""Verification: every symbol of a chunk is read back before the chunk is staged."""
