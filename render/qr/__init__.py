"""QR code symbols (ISO/IEC 18004): from texts to packed modules."""
