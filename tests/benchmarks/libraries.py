"""Other QR code libraries, each used as its documentation tells, at error correction level M.

Each has a class with functions of a text, which make one symbol a call. Where a library lacks a
writer, the class lacks the function.
"""

import ctypes
import ctypes.util
import io
from functools import cache

import qrcode
import qrcode.image.svg
import segno as segno_library
import zint as zint_library
import zxingcpp
from PIL import Image

_QUIET_ZONE = 4


class Segno:
    """Pure Python."""

    @staticmethod
    def encode(text: str) -> segno_library.QRCode:
        return segno_library.make_qr(text, error="m")

    @classmethod
    def svg(cls, text: str) -> bytes:
        file = io.BytesIO()
        cls.encode(text).save(file, kind="svg", border=_QUIET_ZONE)
        return file.getvalue()

    @classmethod
    def png(cls, text: str, size: int) -> bytes:
        symbol = cls.encode(text)
        file = io.BytesIO()
        scale = size // symbol.symbol_size(border=_QUIET_ZONE)[0]
        symbol.save(file, kind="png", border=_QUIET_ZONE, scale=scale)
        return file.getvalue()


class Qrcode:
    """Pure Python, images by Pillow."""

    @staticmethod
    def encode(text: str) -> qrcode.QRCode:
        symbol = qrcode.QRCode(
            error_correction=qrcode.constants.ERROR_CORRECT_M, border=_QUIET_ZONE
        )
        symbol.add_data(text)
        symbol.make(fit=True)
        return symbol

    @classmethod
    def svg(cls, text: str) -> bytes:
        file = io.BytesIO()
        cls.encode(text).make_image(image_factory=qrcode.image.svg.SvgPathImage).save(file)
        return file.getvalue()

    @classmethod
    def png(cls, text: str, size: int) -> bytes:
        symbol = cls.encode(text)
        symbol.box_size = size // (symbol.modules_count + 2 * _QUIET_ZONE)
        file = io.BytesIO()
        symbol.make_image().save(file)
        return file.getvalue()


class ZxingCpp:
    """C++; PNG files by Pillow."""

    @staticmethod
    def encode(text: str) -> zxingcpp.Barcode:
        return zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")

    @classmethod
    def svg(cls, text: str) -> bytes:
        return zxingcpp.write_barcode_to_svg(cls.encode(text)).encode()

    @classmethod
    def png(cls, text: str, size: int) -> bytes:
        symbol = cls.encode(text)
        side = int(zxingcpp.write_barcode_to_image(symbol, scale=1).shape[0])
        pixels = zxingcpp.write_barcode_to_image(symbol, scale=size // side)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        return file.getvalue()


class Zint:
    """C."""

    @staticmethod
    def encode(text: str) -> zint_library.Symbol:
        symbol = zint_library.Symbol()
        symbol.symbology = zint_library.Symbology.QRCODE
        symbol.option_1 = 2
        symbol.encode(text)
        return symbol

    @classmethod
    def svg(cls, text: str) -> bytes:
        return cls._write(cls.encode(text), "svg")

    @classmethod
    def png(cls, text: str, size: int) -> bytes:
        symbol = cls.encode(text)
        # At scale 1 a module has two pixels.
        symbol.scale = size // (symbol.width + 2 * _QUIET_ZONE) / 2
        return cls._write(symbol, "png")

    @staticmethod
    def _write(symbol: zint_library.Symbol, ending: str) -> bytes:
        symbol.output_options = (
            zint_library.OutputOptions.BARCODE_MEMORY_FILE
            | zint_library.OutputOptions.BARCODE_QUIET_ZONES
        )
        symbol.outfile = f"symbol.{ending}"
        symbol.print()
        assert symbol.memfile is not None
        return bytes(symbol.memfile)


class Libqrencode:
    """C, called through ctypes; it has no writers."""

    @staticmethod
    def encode(text: str) -> None:
        library = _libqrencode()
        level_m, eight_bit, case_sensitive = 1, 2, 1
        symbol = library.QRcode_encodeString(text.encode(), 0, level_m, eight_bit, case_sensitive)
        library.QRcode_free(symbol)


@cache
def _libqrencode() -> ctypes.CDLL:
    library = ctypes.CDLL(ctypes.util.find_library("qrencode"))
    library.QRcode_encodeString.restype = ctypes.c_void_p
    library.QRcode_free.argtypes = [ctypes.c_void_p]
    return library


def installed() -> list[type]:
    """Return the libraries that this machine has, and say which is missing."""
    libraries: list[type] = [Segno, Qrcode, ZxingCpp, Zint]
    if ctypes.util.find_library("qrencode"):
        libraries.append(Libqrencode)
    else:
        print("libqrencode is not installed, so it is not measured")
    return libraries
