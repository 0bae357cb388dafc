"""Objects of PDF files with symbol pages, and the cross-reference table.

Source: ISO 32000-1:2008, sections 7.5 (file structure) and 7.7.3 (page tree), annex C (limits).
"""

from collections.abc import Iterable
from decimal import Decimal

from render.dimensions import decimal_text

#: The comment with bytes from 128 on marks the file as binary (7.5.2).
HEADER = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
#: Object numbers of the catalog and of the page tree's root.
CATALOG, ROOT = 1, 2
#: Length in bytes of every page object, so that the offset of its content stream follows from its
#: own: enough for 7-digit object numbers and a page of 14,400 points, the largest.
PAGE_BYTES = 128
#: Cross-reference entries have ten digits (7.5.4).
_OFFSETS_END = 10**10


def page_objects(number: int, parent: int, width: Decimal, content: bytes) -> bytes:
    """Return a page and its deflated content stream as the objects ``number`` and ``number + 1``.

    Args:
        number: number of the page object.
        parent: number of the node of the page tree that the page belongs to.
        width: width and height of the page in points of 1/72 inch.
        content: the deflated content stream.
    """
    side = decimal_text(width)
    page = (
        f"{number} 0 obj\n<</Type/Page/Parent {parent} 0 R/MediaBox[0 0 {side} {side}]"
        f"/Contents {number + 1} 0 R>>"
    ).encode("ascii")
    end = b"\nendobj\n"
    return b"".join(
        (
            page.ljust(PAGE_BYTES - len(end)),
            end,
            b"%d 0 obj\n<</Length %d/Filter/FlateDecode>>stream\n" % (number + 1, len(content)),
            content,
            b"\nendstream\nendobj\n",
        )
    )


def catalog() -> bytes:
    """Return the catalog, which refers to the root of the page tree."""
    return b"%d 0 obj\n<</Type/Catalog/Pages %d 0 R>>\nendobj\n" % (CATALOG, ROOT)


def tree_node(number: int, kids: Iterable[int], pages: int, parent: int | None = None) -> bytes:
    """Return a node of the page tree; the root, which has no parent, has empty resources.

    Args:
        number: number of the node's object.
        kids: object numbers of the nodes or pages below, at most 8191 (annex C).
        pages: number of pages below.
        parent: object number of the node above.
    """
    above = b"/Resources<<>>" if parent is None else b"/Parent %d 0 R" % parent
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    return b"%d 0 obj\n<</Type/Pages%b/Count %d/Kids[%b]>>\nendobj\n" % (
        number,
        above,
        pages,
        listed,
    )


def table_head(objects: int) -> bytes:
    """Return the beginning of the cross-reference table of objects 1 to ``objects`` (7.5.4)."""
    return b"xref\n0 %d\n0000000000 65535 f \n" % (objects + 1)


def table_entries(offsets: Iterable[int]) -> bytes:
    """Return the cross-reference entries of consecutive objects, given their offsets in bytes."""
    return b"".join(b"%010d 00000 n \n" % offset for offset in offsets)


def trailer(objects: int, table: int) -> bytes:
    """Return the end of a file, given its number of objects and the offset of its table (7.5.5).

    Raises:
        ValueError: If the file is too long for the ten digits of an offset.
    """
    if table >= _OFFSETS_END:
        raise ValueError(f"a PDF of {table} bytes is too long; divide the job")
    return b"trailer\n<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        objects + 1,
        CATALOG,
        table,
    )
