"""Parsing and validation of request bodies, JSON or CSV."""
