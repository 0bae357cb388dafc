"""The Falcon resources: one class a path."""
