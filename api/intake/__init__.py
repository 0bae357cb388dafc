"""A request's body, JSON or CSV, parsed and checked."""
