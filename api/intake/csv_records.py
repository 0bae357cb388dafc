"""Records of a CSV body, with their line numbers and without blank ones at the end."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from api.intake.csv_encoding import malformed_csv, not_utf8, to_utf8
from api.intake.csv_header import SEPARATOR_NAMES, SEPARATORS, declared_separator, likely_separator
from render.errors import shown

Record = tuple[int, list[str]]

#: Maximum number of separators in a line. A valid record has far fewer, because it has few columns
#: with values of at most 20 characters; the limit leaves room to report a wrong header.
_MOST_SEPARATORS = 1000
#: Number of lines at the beginning that are read to detect the separator in the header.
_HEADER_LINES = 20
_LINE_END = re.compile(rb"\r\n|\r|\n")
#: The notation with which spreadsheets keep a value from becoming a number: ``="0012"``, with inner
#: quotes doubled.
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')


class CsvRecords:
    """The records of a body, in order, each with the number of its first line, from 1.

    Args:
        body: the body, in any encoding.
        most_blank: maximum number of blank records in a row, which are remembered until it is known
            whether another record follows.

    Attributes:
        separator: the character between two fields, declared by the first line or detected in the
            header.
        first_line: number of the first line of the header.

    Raises:
        ProblemError: 400 if the body is not text or in an encoding that is not accepted.
    """

    def __init__(self, body: bytes, most_blank: int) -> None:
        text = to_utf8(body)
        lines = [*_first_lines(text), "", ""]
        self._sent = body
        self._most_blank = most_blank
        declared = declared_separator(lines[0])
        self._lines_before = 0 if declared is None else 1
        start = 0 if declared is None else len(lines[0].encode())
        self.first_line = self._lines_before + 1
        _check_separators(lines[self._lines_before], SEPARATORS, self.first_line)
        self.separator = declared or likely_separator(lines[self._lines_before :])
        self._has_formulas = b'="' in text
        self._text = io.BytesIO(_without_blank_end(text, self.separator))
        self._text.seek(start)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; a blank record between others has no fields.

        Raises:
            ProblemError: 400 if the body is not CSV in UTF-8.
        """
        # newline="" leaves line ends as they are, because those within quotes are part of a value.
        lines = io.TextIOWrapper(self._text, "utf-8", newline="")
        before = self._lines_before
        reader = csv.reader(
            _of_few_fields(lines, self.separator, before), delimiter=self.separator, strict=True
        )
        line, has_formulas = before + 1, self._has_formulas
        blank: list[int] = []
        try:
            for fields in reader:
                if has_formulas:
                    fields = [_unwrapped(field, line) for field in fields]  # noqa: PLW2901
                if not any(fields) or (len(fields) == 1 and fields[0].isspace()):
                    blank.append(line)
                    self._check_blank(blank)
                else:
                    if blank:
                        yield from ((number, []) for number in blank)
                        blank.clear()
                    yield line, fields
                line = before + reader.line_num + 1
        except csv.Error as error:
            raise malformed_csv(_in_words(str(error)), line) from None
        except UnicodeDecodeError:
            raise not_utf8(self._sent) from None

    def _check_blank(self, lines: Sequence[int]) -> None:
        if len(lines) > self._most_blank:
            reason = f"More than {self._most_blank} blank records begin here; remove them"
            raise malformed_csv(reason, lines[0])


def _first_lines(text: bytes) -> Iterator[str]:
    """Yield the first lines of a body, with their line ends: enough for a header in quotes."""
    begin = 0
    for match in islice(_LINE_END.finditer(text), _HEADER_LINES):
        yield text[begin : match.end()].decode("utf-8", "replace")
        begin = match.end()
    if not begin:
        yield text.decode("utf-8", "replace")


def _without_blank_end(text: bytes, separator: str) -> bytes:
    """Return a body without the last lines, if they have only separators.

    Spreadsheets may write thousands of such lines. Removing them saves parsing them.
    """
    content = text.rstrip(separator.encode() + b"\r\n")
    end = _LINE_END.search(text, len(content))
    return text[: end.end()] if end else text


def _of_few_fields(lines: Iterable[str], separator: str, before: int) -> Iterator[str]:
    """Yield ``lines``; reject a line with so many fields that parsing it would exhaust memory.

    Args:
        lines: lines of the body.
        separator: the character between two fields.
        before: number of lines before these.

    Raises:
        ProblemError: 400 if a line has more than :data:`_MOST_SEPARATORS` separators.
    """
    for number, line in enumerate(lines, before + 1):
        if len(line) > _MOST_SEPARATORS:
            _check_separators(line, separator, number)
        yield line


def _check_separators(line: str, separators: Iterable[str], number: int) -> None:
    for separator in separators:
        if line.count(separator) > _MOST_SEPARATORS:
            many = f"more than {_MOST_SEPARATORS} {SEPARATOR_NAMES[separator]}"
            reason = f"This line has {many}; write one item per line"
            raise malformed_csv(reason, number)


def _unwrapped(value: str, line: int) -> str:
    """Return the text of ``="0012"``; a value that does not begin with ``="`` is returned as it is.

    Raises:
        ProblemError: 400 if the value is another formula, or a separator has cut it in two.
    """
    if not value.startswith('="'):
        return value
    match = _TEXT_FORMULA.fullmatch(value)
    if match is None:
        reason = f'{shown(value)} is a formula and not a text such as ="0012"'
        raise malformed_csv(f"{reason}; paste values in place of formulas, and save again", line)
    return match[1].replace('""', '"')


def _in_words(reason: str) -> str:
    """Translate an error message of the csv module into one that a client can act on."""
    if "unexpected end" in reason:
        return "A quoted field is never closed; add the closing quote"
    if "field limit" in reason:
        limit = csv.field_size_limit()
        return f"A field has more than {limit} characters; a closing quote may be missing"
    return f"A quote is in the wrong place ({reason}); quote whole fields, and double inner quotes"
