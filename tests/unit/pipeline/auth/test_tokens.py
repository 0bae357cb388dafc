"""An imported token needs 20 characters that do not follow from others, wherever they are."""

import string
from collections.abc import Callable

import pytest

from pipeline.auth.tokens import UnsafeTokenError, check_importable

#: Characters of which no four are repeated, and no three are a run.
_RANDOM = "7Qm2ZxV9bT4nKc8LwR3y"
_LENGTH = 32


def _repeated_after(random: str) -> str:
    return random + random[: _LENGTH - len(random)]


def _repeated_before(random: str) -> str:
    return random[: _LENGTH - len(random)] + random


def _run_after(random: str) -> str:
    return random[2:] + string.ascii_uppercase[: _LENGTH + 2 - len(random)]


def _run_before(random: str) -> str:
    return string.ascii_uppercase[: _LENGTH + 2 - len(random)] + random[2:]


@pytest.mark.parametrize(
    "token_of",
    [_repeated_after, _repeated_before, _run_after, _run_before],
    ids=lambda to: to.__name__,
)
def test_characters_that_follow_from_others_do_not_count(
    token_of: Callable[[str], str],
) -> None:
    check_importable(token_of(_RANDOM))
    with pytest.raises(UnsafeTokenError, match="follow from others"):
        check_importable(token_of(_RANDOM[:-1]))
