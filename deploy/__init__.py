"""What runs qrmill: the embedded one-machine stack."""
