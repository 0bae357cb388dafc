"""Other encoders, readers and rasterisers to compare with."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import qrcodegen
import resvg_py
import zint
import zxingcpp
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from segno import consts, encoder

from render.image import QUIET_ZONE, ErrorCorrection, symbol_side
from render.image import Image as RenderedImage
from render.lines import Words
from render.qr.encoding import Symbols
from render.qr.versions import LEVELS

Matrix = NDArray[np.bool_]
Segment = tuple[int, bytes]
Vertex = tuple[int, int]

#: Largest side of a matrix that Hypothesis draws module by module.
_DRAWN_SIDE = 12
_SEGNO_MODES = (consts.MODE_NUMERIC, consts.MODE_ALPHANUMERIC, consts.MODE_BYTE)
_QRCODEGEN_LEVELS = {
    "L": qrcodegen.QrCode.Ecc.LOW,
    "M": qrcodegen.QrCode.Ecc.MEDIUM,
    "Q": qrcodegen.QrCode.Ecc.QUARTILE,
    "H": qrcodegen.QrCode.Ecc.HIGH,
}


def segments_of(text: bytes, modes: NDArray[np.uint8]) -> list[Segment]:
    """Return mode and characters of each segment of ``text``."""
    runs = groupby(zip(modes.tolist(), text, strict=False), key=lambda pair: pair[0])
    return [(mode, bytes(character for _, character in run)) for mode, run in runs]


def modules(symbols: Symbols) -> NDArray[np.bool_]:
    """Return the modules of symbols: bool (n, side, side)."""
    bits = np.unpackbits(symbols.rows.view(np.uint8), axis=2, bitorder="little")
    return bits[:, :, : symbols.rows.shape[1]].astype(np.bool_)


def rows_matrix(image: RenderedImage) -> Matrix:
    """Return the modules that an image states: bool (side, side)."""
    side = symbol_side(image.version)
    rows = np.frombuffer(image.rows, np.uint64).reshape(side, -1)
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")
    return bits[:, :side].astype(np.bool_)


@contextmanager
def _standard_padding() -> Iterator[None]:
    """Give segno the padding of ISO/IEC 18004:2015, 7.4.10.

    segno 1.6.6 adds a byte of zeros where the data end on the border of a codeword
    (github.com/heuer/segno, issues 123 and 148).
    """
    wrong = encoder.write_padding_bits

    def pad(buffer: encoder.Buffer, _version: int, length: int) -> None:
        buffer.extend([0] * (-length % 8))

    encoder.write_padding_bits = pad
    try:
        yield
    finally:
        encoder.write_padding_bits = wrong


def segno_symbol(
    segments: list[Segment], version: int, level: ErrorCorrection
) -> tuple[Matrix, int]:
    """Return segno's modules and mask for these segments."""
    parts = encoder.Segments()
    for mode, text in segments:
        parts.add_segment(encoder.make_segment(text, _SEGNO_MODES[mode]))
    with _standard_padding():
        code = encoder._encode(
            parts,
            error=consts.ERROR_MAPPING[level],
            version=version,
            mask=None,
            eci=False,
            boost_error=False,
        )
    return np.array([list(row) for row in code.matrix], np.bool_), code.mask


def segno_penalty(matrix: Matrix) -> int:
    """Return segno's penalty score of a matrix."""
    rows = [bytearray(row) for row in matrix.astype(np.uint8)]
    return sum(encoder.mask_scores(rows, len(rows), len(rows)))


def qrcodegen_symbol(
    segments: list[Segment],
    level: ErrorCorrection,
    version: int | None = None,
    mask: int = -1,
) -> qrcodegen.QrCode:
    """Return qrcodegen's symbol: of a given version and level, or the least and the highest."""
    return qrcodegen.QrCode.encode_segments(
        [_qrcodegen_segment(*segment) for segment in segments],
        _QRCODEGEN_LEVELS[level],
        minversion=version or 1,
        maxversion=version or 40,
        mask=mask,
        boostecl=version is None,
    )


def _qrcodegen_segment(mode: int, text: bytes) -> qrcodegen.QrSegment:
    if mode == 0:
        return qrcodegen.QrSegment.make_numeric(text.decode())
    if mode == 1:
        return qrcodegen.QrSegment.make_alphanumeric(text.decode())
    return qrcodegen.QrSegment.make_bytes(text)


def qrcodegen_matrix(symbol: qrcodegen.QrCode) -> Matrix:
    """Return the modules of a symbol of qrcodegen's."""
    side = range(symbol.get_size())
    return np.array([[symbol.get_module(x, y) for x in side] for y in side])


def qrcodegen_level(symbol: qrcodegen.QrCode) -> ErrorCorrection:
    """Return the level of a symbol of qrcodegen's."""
    ordinal: int = symbol.get_error_correction_level().ordinal
    return LEVELS[ordinal]


def zint_version(text: str, level: ErrorCorrection) -> int:
    """Return the version that Zint chooses."""
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.QRCODE
    symbol.option_1 = LEVELS.index(level) + 1
    symbol.encode(text)
    return (int(symbol.width) - 17) // 4


def zxing_version(text: str, level: ErrorCorrection) -> int:
    """Return the version that zxing-cpp chooses."""
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=level)
    image = zxingcpp.write_barcode_to_image(barcode, scale=1, add_quiet_zones=False)
    side: int = np.array(image).shape[0]
    return (side - 17) // 4


def read(pixels: NDArray[np.uint8]) -> list[str]:
    """Return the texts of all QR codes that zxing-cpp finds in an image."""
    # Without the limit it also finds linear codes among the modules, a Codabar now and then.
    found = zxingcpp.read_barcodes(pixels, formats=zxingcpp.barcode_formats_from_str("QRCode"))
    return [barcode.text for barcode in found]


def png_image(png: bytes) -> Image.Image:
    """Return a PNG as Pillow reads it."""
    return Image.open(io.BytesIO(png))


def png_pixels(png: bytes) -> NDArray[np.uint8]:
    """Return the grey values of a PNG."""
    with png_image(png) as image:
        image.load()
        return np.array(image.convert("L"))


def svg_pixels(svg: bytes, zoom: int) -> NDArray[np.uint8]:
    """Return the grey values of an SVG, rasterised by resvg with ``zoom`` pixels a unit."""
    return png_pixels(bytes(resvg_py.svg_to_bytes(svg_string=svg.decode(), zoom=zoom)))


def pack(matrices: NDArray[np.bool_]) -> Words:
    """Return rows as the writers take them, for any side."""
    count, side, _ = matrices.shape
    bits = np.zeros((count, side, -(-side // 64) * 64), np.bool_)
    bits[:, :, :side] = matrices
    return np.packbits(bits, axis=2, bitorder="little").view(np.uint64)


def matrices(sides: st.SearchStrategy[int]) -> st.SearchStrategy[NDArray[np.bool_]]:
    """Return a strategy for one to four square matrices of one side.

    Large ones are random and not drawn module by module, which takes 10 ms.
    """
    return st.tuples(st.integers(1, 4), sides).flatmap(
        lambda shape: (
            arrays(np.bool_, (*shape, shape[1]))
            if shape[1] <= _DRAWN_SIDE
            else st.builds(_random_matrices, st.just(shape), st.floats(0, 1), st.integers(0))
        )
    )


def _random_matrices(shape: tuple[int, int], density: float, seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((*shape, shape[1])) < density


def ring_vertices(x: list[int], y: list[int]) -> list[Vertex]:
    """Return the vertices of a ring of ``render.outlines``, with its closing edge checked."""
    vertices = [(x[0], y[0])]
    for place in range(1, len(x)):
        vertices.append((x[place], y[place]))
        if place + 1 < len(x):
            vertices.append((x[place], y[place + 1]))
    assert vertices[-1][0] == vertices[0][0]
    return vertices


def winding(rings: list[list[Vertex]], side: int) -> NDArray[np.int64]:
    """Return how often rings wind clockwise around each module, quiet zone included."""
    whole = side + 2 * QUIET_ZONE
    turns = np.zeros((whole, whole), np.int64)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            if y0 == y1:
                turns[y0:, min(x0, x1) : max(x0, x1)] += 1 if x1 > x0 else -1
    return turns
