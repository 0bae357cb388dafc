"""Hypothesis settings: few examples in every run, many in ``make thorough``."""

from hypothesis import HealthCheck, settings

# Shared machines stall; what an example costs says nothing about it.
settings.register_profile("default", max_examples=60, deadline=None)
settings.register_profile(
    "thorough",
    max_examples=10_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("default")
