"""Image files of packed modules; they know nothing of QR versions."""
