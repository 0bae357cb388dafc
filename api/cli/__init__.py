"""The command-line program ``qrmill``."""
