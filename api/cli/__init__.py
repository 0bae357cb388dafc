"""The command ``qrmill``."""
