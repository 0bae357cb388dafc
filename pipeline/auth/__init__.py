"""API keys, rate limits, console sessions and limits of signing in."""
