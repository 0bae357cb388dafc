"""Types of requests, responses and problems as they go over the wire."""
