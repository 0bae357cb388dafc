"""Files of a bundle that have one record per symbol: the manifests and ``datamerge.csv``."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import UNSET

from pipeline.archive.manifest import EXTRA_PREFIX, ManifestRow
from pipeline.archive.members import SpooledFile

#: The columns of ``datamerge.csv``, and the fields of a row that they contain. ``@`` marks a column
#: of file names in Adobe InDesign's Data Merge.
DATAMERGE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"@qr": "file"}
    | {name: name for name in ("index", "gtin", "lot", "serial", "expiry", "hri", "uri")}
)


class CsvFile(SpooledFile):
    """A CSV file (RFC 4180) with a header and one record per row.

    Args:
        columns: the names in the header, and the fields of a row that the columns contain.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = [*columns.values()]
        has_extra = any(field.startswith(EXTRA_PREFIX) for field in self._fields)
        self._read = ManifestRow.column if has_extra else getattr  # which is faster
        self.write(_csv_lines([columns]))

    def add(self, rows: Sequence[ManifestRow]) -> None:
        """Append one record per row."""
        self.write(_csv_lines(map(self._record, rows)))

    def _record(self, row: ManifestRow) -> list[object]:
        """Return the values of a record, with Boolean values as in JSON."""
        values = [self._read(row, field) for field in self._fields]
        return [str(value).lower() if isinstance(value, bool) else value for value in values]


class JsonFile(SpooledFile):
    """A JSON array with one row per line.

    Args:
        extra: the columns of extra values.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        super().__init__()
        self._before = b"[\n"
        self._extra = extra

    def add(self, rows: Sequence[ManifestRow]) -> None:
        """Append the rows as elements of the array."""
        self.write(self._before + b",\n".join(map(self._json, rows)))
        self._before = b",\n"

    def close(self) -> None:
        """Finish the array and the file."""
        self.write(b"\n]\n")
        super().close()

    def _json(self, row: ManifestRow) -> bytes:
        extra = {name: row.column(name) for name in self._extra}
        if row.staged_page is not UNSET or extra:
            row = msgspec.structs.replace(row, staged_page=UNSET, extra=UNSET)
        return msgspec.json.encode({**msgspec.to_builtins(row), **extra} if extra else row)


def _csv_lines(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()
