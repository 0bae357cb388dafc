"""Peak memory of rendering 1000 items at 2000 pixels, in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

from render.chunk import render_chunk
from render.image import ImageFormat, RenderOptions
from tests.benchmarks.uris import uris

ITEMS, SIZE = 1000, 2000


def main() -> None:
    """Print the peak of a process that only imports, and of one that renders."""
    script = "from tests.benchmarks import memory; memory.render({})"
    idle, png, svg = (
        float(subprocess.check_output([sys.executable, "-c", script.format(arguments)]))
        for arguments in ("0, 'png'", f"{ITEMS}, 'png'", f"{ITEMS}, 'svg'")
    )
    print(f"peak resident memory, MiB: imports alone {idle:.1f}")
    print(f"{ITEMS} PNGs of {SIZE} px: {png:.1f}, of which rendering {png - idle:.1f}")
    print(f"{ITEMS} SVGs: {svg:.1f}, of which rendering {svg - idle:.1f}")


def render(count: int, image_format: ImageFormat) -> None:
    """Render ``count`` items, and print the peak of this process in MiB."""
    images = render_chunk(uris(count), RenderOptions(image_format, SIZE))
    assert len(images) == count
    # The kernel's mark of this program; the one of getrusage is the parent's if that was higher.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    print(int(kilobytes) / 1024)
