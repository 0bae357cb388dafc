"""The Falcon resources: one class per path."""
