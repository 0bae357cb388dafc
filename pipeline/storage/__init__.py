"""S3: clients, buckets, staged chunks and presigned URLs."""
