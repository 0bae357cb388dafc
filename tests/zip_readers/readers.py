"""ZIP readers that are not ours, each run as a program that lists what it read.

Every reader prints one line per file: the SHA-256 of its content, hexadecimal, a tab, its name.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
_COMPRESS = Path("/usr/share/java/commons-compress.jar")
_NODE_MODULES = HERE / "node_modules"


class ZipReader(NamedTuple):
    """A ZIP reader.

    Attributes:
        command: the program; the archive is its standard input, or takes the place of ``{}``.
        missing: why it cannot run here; empty if it can.
        extracts: whether it extracts the files into its working directory; otherwise it prints the
            lines itself.
    """

    command: tuple[str, ...]
    missing: Callable[[], str] = lambda: ""
    extracts: bool = False

    def read(self, archive: Path, directory: Path) -> list[str]:
        """Return the lines of an archive, in the reader's order; sorted by name if it extracts.

        Args:
            archive: the archive.
            directory: an empty directory to work in.
        """
        piped = "{}" not in self.command
        with archive.open("rb") as file:
            # `cat` makes standard input a pipe, in which no reader can seek.
            source = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
            with source:
                done = subprocess.run(
                    [part.replace("{}", str(archive)) for part in self.command],
                    stdin=source.stdout if piped else subprocess.DEVNULL,
                    cwd=directory,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=600,
                )
                if source.stdout:
                    source.stdout.close()
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return _lines_of(directory) if self.extracts else done.stdout.splitlines()


def _lines_of(directory: Path) -> list[str]:
    return [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}\t{path.name}"
        for path in sorted(directory.iterdir())
    ]


def _needs(program: str) -> Callable[[], str]:
    def missing() -> str:
        found = shutil.which(program)
        return "" if found else f"{program} is not installed; `make debian-packages` installs it"

    return missing


def _needs_node_modules() -> str:
    return _needs("node")() or (
        "" if _NODE_MODULES.exists() else "no node_modules; `make zip-readers` installs them"
    )


def _needs_commons_compress() -> str:
    return _needs("javac")() or (
        "" if _COMPRESS.exists() else "no Commons Compress; `make debian-packages` installs it"
    )


#: Readers that read the archive from front to back, from a pipe.
STREAMING = {
    "Java ZipInputStream": ZipReader(("java", str(HERE / "ZipInput.java")), _needs("javac")),
    "Commons Compress": ZipReader(
        ("java", "-cp", str(_COMPRESS), str(HERE / "CommonsCompress.java")),
        _needs_commons_compress,
    ),
    "Node unzipper": ZipReader(("node", str(HERE / "unzipper.js")), _needs_node_modules),
    "bsdtar": ZipReader(("bsdtar", "-xf", "-"), _needs("bsdtar"), extracts=True),
    "BusyBox unzip": ZipReader(("busybox", "unzip", "-q", "-"), _needs("busybox"), extracts=True),
    "Python stream-unzip": ZipReader((sys.executable, str(HERE / "stream_unzip_lines.py"))),
}
#: Readers that read the central directory.
BY_DIRECTORY = {
    "Python zipfile": ZipReader((sys.executable, str(HERE / "zipfile_lines.py"), "{}")),
    "Java ZipFile": ZipReader(("java", str(HERE / "ZipDirectory.java"), "{}"), _needs("javac")),
    "Node yauzl": ZipReader(("node", str(HERE / "yauzl.js"), "{}"), _needs_node_modules),
    "Info-ZIP": ZipReader(("unzip", "-q", "{}"), _needs("unzip"), extracts=True),
    "7-Zip": ZipReader(("7z", "x", "-bso0", "{}"), _needs("7z"), extracts=True),
}
