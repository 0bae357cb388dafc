"""Falcon plumbing: bodies, errors, middleware and parameters."""
