"""Records of a CSV body, with their line numbers and without blank ones at the end."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from api.intake.csv_encoding import malformed_csv, not_utf8, to_utf8
from api.intake.csv_header import SEPARATOR_NAMES, SEPARATORS, declared_separator, likely_separator
from render.errors import shown

Record = tuple[int, list[str]]

#: Maximum number of separators in a line. A valid record has far fewer, because it has few columns
#: with values of at most 20 characters; the limit leaves room to report a wrong header.
_MOST_SEPARATORS = 1000
#: Maximum number of characters of a record. The values of a valid one have a few hundred.
_MOST_CHARACTERS = 16 * 1024
#: Number of bytes that are searched at once for the end of the content.
_PIECE_BYTES = 64 * 1024
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
        characters: number of characters of the records that were read so far.

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
        self.characters = 0
        self._line, self._begin = self.first_line, 0  # of the record that is being read
        self._text = io.BytesIO(_without_blank_end(text, self.separator))
        self._text.seek(start)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; a blank record between others has no fields.

        Raises:
            ProblemError: 400 if the body is not CSV in UTF-8.
        """
        # newline="" leaves line ends as they are, because those within quotes are part of a value.
        text = io.TextIOWrapper(self._text, "utf-8", newline="")
        reader = csv.reader(self._lines(text), delimiter=self.separator, strict=True)
        has_formulas = self._has_formulas
        blank: list[int] = []
        try:
            for fields in reader:
                line = self._line
                self._line = self._lines_before + reader.line_num + 1
                self._begin = self.characters
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
        except csv.Error as error:
            raise malformed_csv(_in_words(str(error)), self._line) from None
        except UnicodeDecodeError:
            raise not_utf8(self._sent) from None

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        """Yield the lines of the body; reject a record that would need much memory.

        Raises:
            ProblemError: 400 if a line has more than :data:`_MOST_SEPARATORS` separators, or a
                record more than :data:`_MOST_CHARACTERS` characters.
        """
        read = partial(text.readline, _MOST_CHARACTERS + 1)
        for number, line in enumerate(iter(read, ""), self._lines_before + 1):
            self.characters += len(line)
            if len(line) > _MOST_SEPARATORS:
                _check_separators(line, self.separator, number)
            if self.characters - self._begin > _MOST_CHARACTERS:
                reason = (
                    f"The record that begins here has more than {_MOST_CHARACTERS} characters; "
                    "write one item per line, and close each quote"
                )
                raise malformed_csv(reason, self._line)
            yield line

    def _check_blank(self, lines: Sequence[int]) -> None:
        if len(lines) > self._most_blank:
            reason = f"More than {self._most_blank} blank records begin here; remove them"
            raise malformed_csv(reason, lines[0])


def _first_lines(text: bytes) -> Iterator[str]:
    """Yield the first lines of a body, with their line ends: enough for a header in quotes.

    Of a line that is too long for a record, only the beginning is returned.
    """
    begin = 0
    for match in islice(_LINE_END.finditer(text), _HEADER_LINES):
        end = min(match.end(), begin + _MOST_CHARACTERS)
        yield text[begin:end].decode("utf-8", "replace")
        begin = match.end()
    if not begin:
        yield text[:_MOST_CHARACTERS].decode("utf-8", "replace")


def _without_blank_end(text: bytes, separator: str) -> bytes:
    """Return a body without the last lines, if they have only separators.

    Spreadsheets may write thousands of such lines. Removing them saves parsing them.
    """
    blank, length = separator.encode() + b"\r\n", len(text)
    while length:
        start = max(0, length - _PIECE_BYTES)
        content = text[start:length].rstrip(blank)  # all of the text would be a copy of it
        length = start + len(content)
        if content:
            break
    end = _LINE_END.search(text, length)
    return text[: end.end()] if end else text


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
    return f"A quote is in the wrong place ({reason}); quote whole fields, and double inner quotes"
