"""Deployment: the embedded one-machine stack, and files for containers and systemd."""
