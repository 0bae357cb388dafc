"""The seam to the pipeline: a chunk of URIs and options in, a chunk of images out."""

from collections.abc import Sequence

from render.image import (
    QUIET_ZONE,
    ErrorCorrection,
    Image,
    RenderOptions,
    module_pixels,
    symbol_side,
)
from render.qr.encoding import Symbols, encode
from render.qr.symbol_choice import choose_symbols
from render.qr.versions import LEVELS
from render.writers.png import write_pngs
from render.writers.svg import write_svgs


def render_chunk(uris: Sequence[str], options: RenderOptions) -> list[Image]:
    """Return one image for each URI, in their order.

    An image depends on its URI and ``options`` alone: the same bytes come out whatever else is in
    the chunk. Any number of threads may render at once; the tables that they share are built once
    and never written to again. Beside the images, a call holds less than 10 MiB for versions up to
    10 and less than 50 MiB for version 40, however long the chunk.

    Args:
        uris: ASCII text of each symbol, at most what version 40 holds.
        options: format, size in pixels and least error correction level of all of them.

    Raises:
        ValueError: a URI is empty, not ASCII or too long, or its symbol does not fit
            ``options.size``; the caller checks with :func:`least_sizes` before it accepts an item.
    """
    images: dict[int, Image] = {}
    for symbols in encode(_texts(uris), options.error_correction):
        images.update(zip(symbols.places.tolist(), _write(symbols, options), strict=True))
    return [images[place] for place in range(len(uris))]


def least_sizes(uris: Sequence[str], options: RenderOptions) -> list[int]:
    """Return for each URI the least PNG side in pixels that gives each module one whole pixel.

    Only chooses versions, which is much cheaper than encoding.

    Raises:
        ValueError: a URI is empty, not ASCII or too long for version 40.
    """
    versions, _ = choose_symbols(_texts(uris), options.error_correction)
    return [symbol_side(version) + 2 * QUIET_ZONE for version in versions.tolist()]


def choose_versions(
    uris: Sequence[str], options: RenderOptions
) -> list[tuple[int, ErrorCorrection]]:
    """Return the version and the error correction level that each URI's symbol gets.

    Raises:
        ValueError: a URI is empty, not ASCII or too long for version 40.
    """
    versions, levels = choose_symbols(_texts(uris), options.error_correction)
    return [
        (version, LEVELS[level])
        for version, level in zip(versions.tolist(), levels.tolist(), strict=True)
    ]


def _texts(uris: Sequence[str]) -> list[bytes]:
    return [uri.encode("ascii") for uri in uris]


def _write(symbols: Symbols, options: RenderOptions) -> list[Image]:
    """Return the images of symbols in the format asked for."""
    version, level = symbols.version, symbols.error_correction
    if options.format == "svg":
        return [Image(data, version, level, None) for data in write_svgs(symbols.rows)]
    pixels = module_pixels(symbol_side(version), options.size)
    pngs = write_pngs(symbols.rows, options.size)
    return [Image(data, version, level, pixels) for data in pngs]
