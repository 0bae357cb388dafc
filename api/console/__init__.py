"""The operator console at ``/ops/``, and the portal for clients at ``/jobs/``."""
