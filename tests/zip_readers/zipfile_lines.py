"""Read the ZIP that the argument names with zipfile, by its central directory."""

import hashlib
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as archive:
    for name in archive.namelist():
        sys.stdout.write(f"{hashlib.sha256(archive.read(name)).hexdigest()}\t{name}\n")
