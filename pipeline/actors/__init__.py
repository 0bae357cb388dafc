"""Dramatiq actors: the code that processes the messages of jobs."""
