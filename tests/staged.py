"""Durations of chunks and bundles, for tests in which the values do not matter."""

from pipeline.model.chunks import ChunkTimes
from pipeline.model.records import BundleTimes

CHUNK_TIMES = ChunkTimes(begun_at=1_700_000_000_000, read_ms=1.0, render_ms=2.0, stage_ms=3.0)
BUNDLE_TIMES = BundleTimes(begun_at=1_700_000_000_000, read_ms=1.0, zip_ms=2.0, upload_ms=3.0)
