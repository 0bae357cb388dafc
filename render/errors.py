"""The one error that a GS1 rule raises."""

#: Characters of a wrong value that its error shows.
_SHOWN = 60


def shown(value: object) -> str:
    """Return how an error shows a wrong value: as Python writes it, cut when it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


class InvalidValueError(ValueError):
    """A value breaks a rule of the GS1 General Specifications or of the request's contract.

    Attributes:
        code: a short, stable name of the rule that was broken, for programs.
        detail: the value, what is wrong with it and what would be right, for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
