"""Capacity model: what a load requires, calculated from the figures of ``make bench``."""
