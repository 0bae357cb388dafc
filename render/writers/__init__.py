"""Writers of image files from packed modules; independent of QR versions."""
