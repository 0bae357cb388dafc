"""Serial numbers that the service makes: ranges, and numbers drawn at random."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from api.schemas.tasks import SERIAL_CHARACTERS
from pipeline.service import ItemRow, item_row

#: Text before the last run of digits, the run, and the text after it.
_LAST_DIGITS = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)
#: Position of the serial in a row.
SERIAL = 1


@dataclass(frozen=True)
class SerialRange:
    """Serials that count up the last run of digits of the first one.

    Attributes:
        start: the first serial, which has a digit.
        count: number of serials.
        step: difference between two serials.
    """

    start: str
    count: int
    step: int

    @property
    def overflows(self) -> bool:
        """Whether the last serial needs more digits than the first one has."""
        _, digits, _ = self._parts()
        return len(str(self._last())) > len(digits)

    @property
    def first(self) -> str:
        """The first serial, also if the range is not valid."""
        return self.start

    def make(self) -> Iterator[str]:
        """Yield the serials, all of the same length."""
        before, digits, after = self._parts()
        for number in range(int(digits), self._last() + 1, self.step):
            yield f"{before}{number:0{len(digits)}}{after}"

    def _last(self) -> int:
        return int(self._parts()[1]) + (self.count - 1) * self.step

    def _parts(self) -> tuple[str, str, str]:
        match = _LAST_DIGITS.fullmatch(self.start)
        if match is None:
            raise ValueError(f"{self.start!r} has no digit")
        return match[1], match[2], match[3]


@dataclass(frozen=True)
class RandomSerials:
    """Distinct serials of :data:`SERIAL_CHARACTERS`, drawn again by each call of :meth:`make`.

    Attributes:
        count: number of serials.
        length: number of characters of each serial.
    """

    count: int
    length: int

    @property
    def possible(self) -> int:
        """Number of serials of this length."""
        return int(len(SERIAL_CHARACTERS) ** self.length)

    @property
    def first(self) -> str:
        """A serial of the right length, in place of those that are drawn."""
        return SERIAL_CHARACTERS[0] * self.length

    def make(self) -> Iterator[str]:
        """Yield serials from the generator of the operating system, all equally likely."""
        drawn = set[int]()
        while len(drawn) < self.count:
            number = secrets.randbelow(self.possible)
            if number not in drawn:
                drawn.add(number)
                yield self._text(number)

    def _text(self, number: int) -> str:
        characters = []
        for _ in range(self.length):
            number, digit = divmod(number, len(SERIAL_CHARACTERS))
            characters.append(SERIAL_CHARACTERS[digit])
        return "".join(characters)


SerialSource = SerialRange | RandomSerials


def has_digits(start: str) -> bool:
    """Return whether a range can begin with a serial."""
    return _LAST_DIGITS.fullmatch(start) is not None


def with_serials(shared: ItemRow, serials: SerialSource, size: int) -> Iterator[list[ItemRow]]:
    """Yield an item per serial, in lists of at most ``size``.

    Args:
        shared: the values of an item.
        serials: the serials, one per item.
        size: number of items in a list.
    """
    before, after = shared[:SERIAL], shared[SERIAL + 1 :]
    made = serials.make()
    while chunk := [*islice(made, size)]:
        yield [item_row((*before, serial, *after)) for serial in chunk]
