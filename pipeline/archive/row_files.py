"""Files of a bundle that have one record per symbol: the manifests and ``datamerge.csv``."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

import msgspec
from msgspec import UNSET

from pipeline.archive.manifest import (
    CSV_COLUMNS,
    EXTRA_PREFIX,
    PAGE_COLUMNS,
    ManifestRow,
    item_columns,
)
from pipeline.archive.members import SpooledFile
from pipeline.model.layout import Layout

#: The columns of ``datamerge.csv``, and the fields of a row that they contain. ``@`` marks a column
#: of file names in Adobe InDesign's Data Merge.
DATAMERGE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"@qr": "file"}
    | {name: name for name in ("index", "gtin", "lot", "serial", "expiry", "hri", "uri")}
)

_json_encoder = msgspec.json.Encoder()


def manifest_columns(layout: Layout) -> Mapping[str, str]:
    """Return the columns of ``manifest.csv``, and the fields of a row that they contain."""
    columns = PAGE_COLUMNS if layout.pages == "single" else CSV_COLUMNS
    return {name: name for name in columns} | item_columns(layout)


def merge_columns(layout: Layout) -> Mapping[str, str]:
    """Return the columns of ``datamerge.csv``, and the fields of a row that they contain."""
    return {**DATAMERGE_COLUMNS, **item_columns(layout)}


class CsvRecords:
    """The records of a CSV file (RFC 4180), one per row.

    Args:
        columns: the names in the header, and the fields of a row that the columns contain.

    Attributes:
        header: the first line of the file.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        fields = [*columns.values()]
        extra = [field for field in fields if field.startswith(EXTRA_PREFIX)]
        # The columns of extra values are the last ones. All others are read together.
        self._read = attrgetter(*fields[: len(fields) - len(extra)])
        self._extra = extra
        self._verified = fields.index("verified") if "verified" in fields else None
        self.header = _csv_lines([columns])

    def lines(self, rows: Sequence[ManifestRow]) -> bytes:
        """Return the lines of ``rows``."""
        return _csv_lines(map(self._record, rows))

    def _record(self, row: ManifestRow) -> list[object]:
        """Return the values of a record, with the only Boolean value as in JSON."""
        values: list[object] = [*self._read(row), *map(row.column, self._extra)]
        if self._verified is not None:
            values[self._verified] = "true" if row.verified else "false"
        return values


class JsonRecords:
    """The elements of a JSON array of rows.

    Args:
        extra: the columns of extra values.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        self._extra = extra

    def lines(self, rows: Sequence[ManifestRow]) -> bytes:
        """Return ``rows`` as elements of the array, one per line."""
        return encode_lines(map(self._element, rows))

    def _element(self, row: ManifestRow) -> object:
        extra = {name: row.column(name) for name in self._extra}
        if row.staged_page is not UNSET or extra:
            row = msgspec.structs.replace(row, staged_page=UNSET, extra=UNSET)
        return {**msgspec.to_builtins(row), **extra} if extra else row


class CsvFile(SpooledFile):
    """A CSV file with a header and one record per row.

    Args:
        columns: as in :class:`CsvRecords`.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        super().__init__()
        self._records = CsvRecords(columns)
        self.write(self._records.header)

    def add(self, rows: Sequence[ManifestRow]) -> None:
        """Append one record per row."""
        self.write(self._records.lines(rows))

    def has_columns_of(self, lines: bytes | memoryview) -> bool:
        """Return whether ``lines``, which begin with a header, have the columns of this file."""
        return lines[: len(self._records.header)] == self._records.header

    def add_lines(self, lines: bytes | memoryview) -> None:
        """Append lines that begin with the header of this file, which is left out."""
        self.write(lines[len(self._records.header) :])


class JsonFile(SpooledFile):
    """A JSON array with one row per line.

    Args:
        extra: the columns of extra values.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        super().__init__()
        self._records = JsonRecords(extra)
        self._before = b"[\n"

    def add(self, rows: Sequence[ManifestRow]) -> None:
        """Append the rows as elements of the array."""
        self.add_lines(self._records.lines(rows))

    def add_lines(self, lines: bytes | memoryview) -> None:
        """Append elements of the array, one per line."""
        self.write(self._before)
        self.write(lines)
        self._before = b",\n"

    def close(self) -> None:
        """Finish the array and the file."""
        self.write(b"\n]\n")
        super().close()


def encode_lines(rows: Iterable[object]) -> bytes:
    """Return rows as elements of a JSON array, one per line."""
    # JSON escapes line breaks in strings, so every line break follows a row.
    return _json_encoder.encode_lines(rows)[:-1].replace(b"\n", b",\n")


def _csv_lines(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()
