"""ZIP members, the manifest and the bundle as a stream, without I/O."""
