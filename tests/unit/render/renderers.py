"""Renderers of vector images to grey pixels: Ghostscript, pdfium, resvg, librsvg, Chromium."""

import base64
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
import resvg_py
from numpy.typing import NDArray
from playwright.sync_api import Browser

from tests.unit.render.oracles import png_pixels

Pixels = NDArray[np.uint8]

GHOSTSCRIPT = shutil.which("gs")
LIBRSVG = shutil.which("rsvg-convert")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_ghostscript = pytest.mark.skipif(
    GHOSTSCRIPT is None, reason="no gs; `make debian-packages` installs it"
)
needs_librsvg = pytest.mark.skipif(
    LIBRSVG is None, reason="no rsvg-convert; `make debian-packages` installs it"
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; `make debian-packages` installs it"
)
_FILES_PER_PROCESS = 250
#: Images per row of a sheet that Chromium renders.
_COLUMNS = 8


def ghostscript(
    files: Sequence[bytes], suffix: str, folder: Path, dpi: float, *arguments: str
) -> Iterator[Pixels]:
    """Yield the page of each PDF or EPS file; asserts that Ghostscript writes no message."""
    options = ["-sDEVICE=pnggray", f"-r{dpi}", *arguments]
    for start in range(0, len(files), _FILES_PER_PROCESS):
        part = files[start : start + _FILES_PER_PROCESS]
        assert _run_ghostscript(part, suffix, folder, folder / "%d.png", options) == ""
        for number in range(len(part)):
            yield png_pixels((folder / f"{number + 1}.png").read_bytes())


def ink_coverage(files: Sequence[bytes], suffix: str, folder: Path) -> NDArray[np.float64]:
    """Return the ink coverage of each file by Ghostscript: (files, 4), in the order CMYK."""
    output = _run_ghostscript(files, suffix, folder, "-", ["-sDEVICE=inkcov", "-r300"])
    lines = [line.split() for line in output.splitlines() if line.strip()]
    assert all(line[4:] == ["CMYK", "OK"] for line in lines)
    return np.array([line[:4] for line in lines], np.float64)


def ghostscript_pages(path: Path) -> int:
    """Return the number of pages that Ghostscript renders of a PDF, warnings being errors."""
    assert GHOSTSCRIPT
    command = [GHOSTSCRIPT, "-dBATCH", "-dNOPAUSE", "-dSAFER", "-dPDFSTOPONWARNING"]
    done = subprocess.run(
        [*command, "-dPDFSTOPONERROR", "-sDEVICE=nullpage", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.count("\nPage ")


def _run_ghostscript(
    files: Sequence[bytes], suffix: str, folder: Path, output: Path | str, options: list[str]
) -> str:
    """Render files in one process, warnings being errors, and return its standard output."""
    assert GHOSTSCRIPT
    paths = [folder / f"{number}.{suffix}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    command = [GHOSTSCRIPT, "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-dEPSCrop"]
    command += ["-dPDFSTOPONERROR", "-dPDFSTOPONWARNING", *options, "-o", str(output)]
    done = subprocess.run(
        [*command, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def pdfium(files: Sequence[bytes], dpi: float) -> Iterator[Pixels]:
    """Yield the only page of each PDF."""
    for data in files:
        with pypdfium2.PdfDocument(data) as document:
            assert len(document) == 1
            # A copy, because the bitmap goes with the document.
            yield document[0].render(scale=dpi / 72, grayscale=True).to_numpy().copy()


def resvg(svgs: Sequence[bytes], width: int) -> Iterator[Pixels]:
    """Yield each SVG, ``width`` pixels wide."""
    for svg in svgs:
        text = svg.decode()
        # Its option "width" scales by the size in whole pixels, and without "dpi" a millimetre is
        # nothing.
        natural = float(text.partition('width="')[2].partition("mm")[0]) * 96 / 25.4
        png = resvg_py.svg_to_bytes(svg_string=text, zoom=width / natural, dpi=96)
        # The last row and column may be partly outside the image.
        yield png_pixels(png)[:width, :width].copy()


def librsvg(svgs: Sequence[bytes], width: int) -> Iterator[Pixels]:
    """Yield each SVG, ``width`` pixels wide; asserts that rsvg-convert writes no message."""
    assert LIBRSVG
    for svg in svgs:
        command = [LIBRSVG, f"--width={width}", f"--height={width}"]
        done = subprocess.run(command, input=svg, capture_output=True, check=True)
        assert done.stderr == b""
        yield png_pixels(done.stdout)


def chromium(browser: Browser, svgs: Sequence[bytes], width: int) -> Iterator[Pixels]:
    """Yield each SVG, ``width`` pixels wide, from sheets of images."""
    context = browser.new_context(viewport={"width": _COLUMNS * width, "height": 100})
    page = context.new_page()
    for start in range(0, len(svgs), _FILES_PER_PROCESS):
        part = svgs[start : start + _FILES_PER_PROCESS]
        page.set_content(_sheet(part, f"width:{width}px;height:{width}px"))
        page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        sheet = png_pixels(page.screenshot(full_page=True))
        for number in range(len(part)):
            y, x = (place * width for place in divmod(number, _COLUMNS))
            yield sheet[y : y + width, x : x + width]
    context.close()


def layout_widths(browser: Browser, svgs: Sequence[bytes]) -> list[float]:
    """Return the natural width of each SVG in CSS pixels, by Chromium's layout."""
    context = browser.new_context()
    page = context.new_page()
    page.set_content(_sheet(svgs, ""))
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    script = "[...document.images].map(image => image.getBoundingClientRect().width)"
    widths: list[float] = page.evaluate(script)
    context.close()
    return widths


def _sheet(svgs: Sequence[bytes], style: str) -> str:
    images = (
        f'<img style="{style}" src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">'
        for svg in svgs
    )
    return f'<body style="margin:0;line-height:0;font-size:0">{"".join(images)}'
