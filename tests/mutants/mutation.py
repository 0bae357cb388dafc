"""A small change to a source file, and how a sample of them is drawn."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Mutation(NamedTuple):
    """A change to one place of a file.

    Attributes:
        path: the file, relative to the repository.
        line, column: the place, counted from 1 and from 0.
        operator: what is done there.
        code: the whole file with the change.
    """

    path: str
    line: int
    column: int
    operator: str
    code: str

    @property
    def name(self) -> str:
        """What tells this mutation from all others of the same source."""
        return f"{self.path}:{self.line}:{self.column} {self.operator}"


class Candidate(NamedTuple):
    """A mutation that may be drawn; its code is made only then.

    Attributes:
        occurrence: which of the operator's places in the file it is, in the file's order.
    """

    path: str
    line: int
    column: int
    operator: str
    occurrence: int


def draw(candidates: Iterable[Candidate], seed: int) -> Iterator[Candidate]:
    """Yield candidates in random order, one of each place.

    Every place has the same chance, however many changes are possible there: the replacements of
    one ``+`` would else outnumber everything.
    """
    places: defaultdict[tuple[str, int, int], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        places[candidate.path, candidate.line, candidate.column].append(candidate)
    source = random.Random(seed)
    order = sorted(places)
    source.shuffle(order)
    for place in order:
        yield source.choice(places[place])
