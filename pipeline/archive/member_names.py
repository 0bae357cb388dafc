"""Names of images in the bundle."""

import re

from pipeline.model.jobs import Item
from pipeline.model.records import JobFields

#: Name of the file in the bundle that has all symbols of a job, a page each.
SYMBOLS_PDF = "symbols.pdf"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LEAST_INDEX_WIDTH = 5


def member_name(job: JobFields, index: int, item: Item) -> str:
    """Return the name in the bundle of the file that has an item's symbol.

    It is :data:`SYMBOLS_PDF` for all items of a job with ``pages=single``, and otherwise
    ``{index}_{lot}_{serial}.{format}``. The index, counted from 1, has as many digits as the job's
    number of items, and at least five. Names are therefore unique on every file system, and sort in
    the order of the items.
    """
    if job.layout.pages == "single":
        return SYMBOLS_PDF
    width = max(_LEAST_INDEX_WIDTH, len(str(job.items)))
    parts = [f"{index:0{width}}", *(part for part in (item.lot, item.serial) if part is not None)]
    return _UNSAFE.sub("-", "_".join(parts)) + f".{job.format}"
