"""Names of images in the bundle."""

import re

from pipeline.model.jobs import Item
from pipeline.model.records import JobFields

#: Name of the file in the bundle that has all symbols of a job, a page each.
SYMBOLS_PDF = "symbols.pdf"
#: A character that no file of a bundle has in its name.
UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._-]")
_LEAST_INDEX_WIDTH = 5


def member_name(job: JobFields, index: int, item: Item) -> str:
    """Return the name in the bundle of the file that has an item's symbol.

    It is :data:`SYMBOLS_PDF` for all items of a job with ``pages=single``, and otherwise the item's
    name or :func:`default_name`, with the extension of the format.
    """
    if job.layout.pages == "single":
        return SYMBOLS_PDF
    name = item.name or default_name(job.items, index, item.lot, item.serial)
    return f"{name}.{job.format}"


def default_name(items: int, index: int, lot: str | None, serial: str | None) -> str:
    """Return ``{index}_{lot}_{serial}``, the name of a file without extension.

    The index has as many digits as the job's number of items, and at least five. Default names are
    therefore unique on every file system, and sort in the order of the items.

    Args:
        items: number of items of the job.
        index: position of the item in the job, counted from 1.
        lot: lot of the item, or None.
        serial: serial of the item, or None.
    """
    width = max(_LEAST_INDEX_WIDTH, len(str(items)))
    parts = [f"{index:0{width}}", *(part for part in (lot, serial) if part is not None)]
    return UNSAFE_IN_NAME.sub("-", "_".join(parts))
