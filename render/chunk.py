"""Rendering of a chunk: from URIs and options to images. The interface to the pipeline."""

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
    """Return one image per URI, in the order of the URIs.

    The bytes of an image depend only on its URI and ``options``, not on the rest of the chunk.
    Several threads may render at the same time; the tables that they share are built once and never
    modified. In addition to the images, a call uses less than 10 MiB for versions up to 10 and less
    than 50 MiB for version 40, for chunks of any length.

    Args:
        uris: the ASCII text of each symbol, at most as long as version 40 can hold.
        options: format, size in pixels and lowest error correction level of all symbols.

    Raises:
        ValueError: If a URI is empty, not ASCII or too long, or if its symbol does not fit
            ``options.size``. Callers check with :func:`least_sizes` before they accept an item.
    """
    images: dict[int, Image] = {}
    for symbols in encode(_texts(uris), options.error_correction):
        images.update(zip(symbols.places.tolist(), _write(symbols, options), strict=True))
    return [images[place] for place in range(len(uris))]


def least_sizes(uris: Sequence[str], options: RenderOptions) -> list[int]:
    """Return for each URI the smallest PNG side, in pixels, at which a module is one pixel wide.

    Only chooses versions, which is much cheaper than encoding.

    Raises:
        ValueError: If a URI is empty, not ASCII or too long for version 40.
    """
    versions, _ = choose_symbols(_texts(uris), options.error_correction)
    return [symbol_side(version) + 2 * QUIET_ZONE for version in versions.tolist()]


def choose_versions(
    uris: Sequence[str], options: RenderOptions
) -> list[tuple[int, ErrorCorrection]]:
    """Return the version and the error correction level of each URI's symbol.

    Raises:
        ValueError: If a URI is empty, not ASCII or too long for version 40.
    """
    versions, levels = choose_symbols(_texts(uris), options.error_correction)
    return [
        (version, LEVELS[level])
        for version, level in zip(versions.tolist(), levels.tolist(), strict=True)
    ]


def _texts(uris: Sequence[str]) -> list[bytes]:
    return [uri.encode("ascii") for uri in uris]


def _write(symbols: Symbols, options: RenderOptions) -> list[Image]:
    """Return the images of symbols in the requested format."""
    if options.format == "svg":
        pixels, files = None, write_svgs(symbols.rows)
    else:
        pixels = module_pixels(symbol_side(symbols.version), options.size)
        files = write_pngs(symbols.rows, options.size)
    return [
        Image(data, symbols.version, symbols.error_correction, pixels, rows.tobytes())
        for data, rows in zip(files, symbols.rows, strict=True)
    ]
