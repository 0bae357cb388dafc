"""API keys, rate limits, console sessions and sign-in limits."""
