"""What operators look at: logs, metrics, health, the overview and previews of jobs."""
