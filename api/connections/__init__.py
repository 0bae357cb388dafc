"""Connections of the API: a worker for gunicorn whose threads do not wait for slow clients."""
