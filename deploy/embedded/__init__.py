"""The whole service on one machine: Valkey, an S3 server, the API and its workers."""
