"""Monitoring: logs, metrics, health checks, the overview and previews of jobs."""
