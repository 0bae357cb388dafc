"""A reader of PDF files that trusts only the cross-reference table."""

import re
from itertools import pairwise


def pdf_objects(pdf: bytes) -> dict[int, bytes]:
    """Return the objects of a PDF by number, found by its cross-reference table alone.

    Asserts that header, table and trailer have the form of ISO 32000-1, section 7.5, and that the
    objects fill the file.
    """
    assert pdf.startswith(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    end = re.search(
        rb"trailer\n<</Size (\d+)/Root 1 0 R>>\nstartxref\n(\d+)\n%%EOF\n\Z", pdf[-200:]
    )
    assert end
    count, table = int(end[1]), int(end[2])
    head = b"xref\n0 %d\n" % count
    assert pdf[table : table + len(head)] == head
    entries = pdf[table + len(head) : len(pdf) - len(end[0])]
    assert len(entries) == 20 * count
    assert entries[:20] == b"0000000000 65535 f \n"
    offsets = []
    for start in range(20, len(entries), 20):
        entry = re.fullmatch(rb"(\d{10}) 00000 n \n", entries[start : start + 20])
        assert entry
        offsets.append(int(entry[1]))
    ends = dict(pairwise([*sorted(offsets), table]))
    assert min(offsets) == 15
    objects = {}
    for number, offset in enumerate(offsets, 1):
        text = pdf[offset : ends[offset]]
        first = b"%d 0 obj\n" % number
        assert text.startswith(first)
        assert text.endswith(b"\nendobj\n")
        objects[number] = text[len(first) : -len(b"\nendobj\n")].rstrip(b" ")
    return objects
