"""Rendering of a chunk: from URIs and options to images. The interface to the pipeline."""

from collections.abc import Callable, Sequence

from render.dimensions import decimal_text, dimensions, pixels, points, vector_width
from render.image import ErrorCorrection, Image, RenderOptions
from render.qr.encoding import Symbols, encode
from render.qr.symbol_choice import choose_symbols
from render.qr.versions import LEVELS
from render.writers.eps import write_epss
from render.writers.pdf import write_pages, write_pdfs
from render.writers.pdf_document import Page, PageRun, page_run
from render.writers.png import write_pngs
from render.writers.svg import write_svgs
from render.writers.svg_strokes import write_stroked_svgs

_Write = Callable[[Symbols, RenderOptions], list[bytes]]


def render_chunk(uris: Sequence[str], options: RenderOptions) -> list[Image]:
    """Return one image per URI, in the order of the URIs.

    The bytes of an image depend only on its URI and ``options``, not on the rest of the chunk.
    Several threads may render at the same time; the tables that they share are built once and never
    modified. In addition to the images, a call uses less than 10 MiB for versions up to 10 and less
    than 50 MiB for version 40, for chunks of any length.

    Args:
        uris: the ASCII text of each symbol, at most as long as version 40 can hold.
        options: what all images share.

    Raises:
        ValueError: If a URI is empty, not ASCII or too long, or if its symbol does not fit the
            image. Callers compare :func:`choose_versions` with
            :func:`render.dimensions.largest_version` before they accept an item.
    """
    return _render(uris, options, _write)


def render_pages(
    uris: Sequence[str], options: RenderOptions, first: int
) -> tuple[PageRun, list[Image]]:
    """Return one page per URI for a PDF document of many pages, and the images of the pages.

    The data of an image are the deflated content stream of its page, the same bytes as in the file
    of that page alone.

    Args:
        uris: as in :func:`render_chunk`.
        options: what all images share; the format is ``pdf``.
        first: position of the first page in the document, from 0 on.

    Raises:
        ValueError: as in :func:`render_chunk`.
    """
    images = _render(uris, options, _write_pages)
    pages = (Page(image.data, points(vector_width(image.version, options))) for image in images)
    return page_run(pages, first), images


def choose_versions(
    uris: Sequence[str], options: RenderOptions
) -> list[tuple[int, ErrorCorrection]]:
    """Return the version and the error correction level of each URI's symbol.

    Raises:
        ValueError: If a URI is empty, not ASCII or too long for version 40.
    """
    versions, levels = choose_symbols(_texts(uris), options.error_correction, options.least_version)
    return [
        (version, LEVELS[level])
        for version, level in zip(versions.tolist(), levels.tolist(), strict=True)
    ]


def _texts(uris: Sequence[str]) -> list[bytes]:
    return [uri.encode("ascii") for uri in uris]


def _render(uris: Sequence[str], options: RenderOptions, write: _Write) -> list[Image]:
    images: dict[int, Image] = {}
    for symbols in encode(_texts(uris), options.error_correction, options.least_version):
        size = dimensions(symbols.version, options)
        made = zip(symbols.places.tolist(), write(symbols, options), symbols.rows, strict=True)
        for place, data, rows in made:
            images[place] = Image(
                data, symbols.version, symbols.error_correction, *size, rows.tobytes()
            )
    return [images[place] for place in range(len(uris))]


def _write(symbols: Symbols, options: RenderOptions) -> list[bytes]:
    """Return the files of symbols in the requested format."""
    if options.format == "png":
        _, side = pixels(symbols.version, options)
        return write_pngs(symbols.rows, side, options.dpi)
    if options.format == "svg" and not options.outlines:
        return write_stroked_svgs(symbols.rows)
    width = vector_width(symbols.version, options)
    if options.format == "svg":
        in_units = options.xdim_mm is None
        size = str(options.size) if in_units else f"{decimal_text(width)}mm"
        return write_svgs(symbols.rows, size)
    write = write_pdfs if options.format == "pdf" else write_epss
    return write(symbols.rows, points(width))


def _write_pages(symbols: Symbols, options: RenderOptions) -> list[bytes]:
    return write_pages(symbols.rows, points(vector_width(symbols.version, options)))
