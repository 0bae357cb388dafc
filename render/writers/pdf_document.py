"""A PDF document of many symbols, one per page, assembled from runs of pages.

Every run is written on its own and copied into the document without being read again: the number of
each object follows from the page's position alone, and the document's tail, which has all offsets,
from the lengths of the pages. So the size and the checksum of the document can be computed before
its first byte is written, from :func:`document_tail` and the lengths and checksums of the runs.

Objects 1 and 2 are the catalog and the root of the page tree. Each group of up to 500 pages follows
as a node of the tree and two objects per page, so that no array is longer than viewers read
(ISO 32000-1:2008, annex C).
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from render.writers.pdf_objects import (
    CATALOG,
    HEADER,
    PAGE_BYTES,
    ROOT,
    catalog,
    page_objects,
    table_entries,
    table_head,
    trailer,
    tree_node,
)

#: Pages per node of the page tree, and object numbers per node and its pages.
_GROUP = 500
_STRIDE = 1 + 2 * _GROUP


class Page(NamedTuple):
    """A page of a document.

    Attributes:
        content: its deflated content stream, of :func:`render.writers.pdf.write_pages`.
        width: width and height in points of 1/72 inch.
    """

    content: bytes
    width: Decimal


class PageRun(NamedTuple):
    """Consecutive pages of a document, as the bytes that they have in it.

    Attributes:
        data: the objects of all pages.
        lengths: number of bytes of each page's objects.
    """

    data: bytes
    lengths: list[int]


def page_run(pages: Iterable[Page], first: int) -> PageRun:
    """Return the objects of consecutive pages of a document.

    Args:
        pages: the pages, in order.
        first: zero-based position of the first of these pages in the document.
    """
    objects = [
        page_objects(*_numbers(position), page.width, page.content)
        for position, page in enumerate(pages, first)
    ]
    return PageRun(b"".join(objects), list(map(len, objects)))


def page_document(objects: bytes, position: int) -> bytes:
    """Return a document of one page, in the same bytes that the page has in a longer document.

    The objects keep their numbers, so the table has gaps, which readers accept.

    Args:
        objects: the page's objects, taken from a :class:`PageRun`.
        position: zero-based position of the page in the longer document.
    """
    number, node = _numbers(position)
    parts = [
        HEADER,
        objects,
        catalog(),
        tree_node(ROOT, (node,), 1),
        tree_node(node, (number,), 1, ROOT),
    ]
    page, *others, table = [*accumulate(map(len, parts))]
    entries = (
        table_head(ROOT),
        table_entries(others[:2]),
        b"%d 1\n" % node,
        table_entries(others[2:]),
        b"%d 2\n" % number,
        table_entries((page, page + PAGE_BYTES)),
    )
    return b"".join((*parts, *entries, trailer(number + 1, table)))


def assemble(runs: Iterable[PageRun]) -> Iterator[bytes]:
    """Yield a document piece by piece, given all its pages in order.

    Keeps nothing of the runs but the lengths of their pages.
    """
    yield HEADER
    lengths: list[int] = []
    for run in runs:
        lengths += run.lengths
        yield run.data
    yield from document_tail(lengths)


def document_tail(lengths: Sequence[int]) -> Iterator[bytes]:
    """Yield what follows the pages of a document, piece by piece.

    Args:
        lengths: number of bytes of each page's objects, for all pages in order.

    Raises:
        ValueError: If the document is longer than PDF allows, 10^10 bytes.
    """
    count = len(lengths)
    groups = [range(start, min(start + _GROUP, count)) for start in range(0, count, _GROUP)]
    end = len(HEADER) + sum(lengths)
    offsets = {}
    for number, node in _tree(groups):
        offsets[number] = end
        end += len(node)
        yield node
    objects = 2 + len(groups) + 2 * count
    yield table_head(objects) + table_entries((offsets[CATALOG], offsets[ROOT]))
    page_offsets = accumulate(lengths, initial=len(HEADER))
    for group in groups:
        yield table_entries((offsets[_node(group.start)],))
        yield table_entries(
            offset
            for _, page in zip(group, page_offsets, strict=False)
            for offset in (page, page + PAGE_BYTES)
        )
    yield trailer(objects, end)


def _tree(groups: Sequence[range]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each node of the page tree, and of the catalog."""
    for group in groups:
        kids = (_numbers(position)[0] for position in group)
        yield _node(group.start), tree_node(_node(group.start), kids, len(group), ROOT)
    nodes = (_node(group.start) for group in groups)
    yield ROOT, tree_node(ROOT, nodes, sum(map(len, groups)))
    yield CATALOG, catalog()


def _node(position: int) -> int:
    """Return the object number of the node that a page belongs to."""
    return ROOT + 1 + position // _GROUP * _STRIDE


def _numbers(position: int) -> tuple[int, int]:
    """Return the object numbers of a page and of its node."""
    node = _node(position)
    return node + 1 + 2 * (position % _GROUP), node
