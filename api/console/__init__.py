"""The operator console at ``/ops/``."""
