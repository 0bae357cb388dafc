"""The files of a chunk, which its manifest rows name."""

from collections.abc import Sequence

from pipeline.archive.manifest import ManifestRow
from pipeline.archive.members import ZipMember, make_member


def file_names(rows: Sequence[ManifestRow]) -> list[str]:
    """Return the names of the files that rows name, each once, in the order of its first row."""
    return [*dict.fromkeys(row.file for row in rows)]


def make_members(rows: Sequence[ManifestRow], files: Sequence[bytes]) -> list[ZipMember]:
    """Return the files that rows name as ZIP members."""
    return [make_member(*named) for named in zip(file_names(rows), files, strict=True)]
