"""The actors: what a worker does with a message."""
