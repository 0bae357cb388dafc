"""The embedded stack: Valkey, an S3 server, the API, the workers and the sweep on one machine."""
