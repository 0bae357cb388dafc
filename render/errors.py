"""The error for a value that breaks a GS1 rule."""

#: Number of characters of an invalid value that an error shows.
_SHOWN = 60


def shown(value: object) -> str:
    """Return an invalid value as an error shows it: its ``repr``, truncated if it is long."""
    text = value if isinstance(value, str) else repr(value)
    cut, end = (text, "") if len(text) <= _SHOWN else (text[:_SHOWN], "…")
    return (repr(cut) if isinstance(value, str) else cut) + end


class InvalidValueError(ValueError):
    """Raised when a value breaks a rule of the GS1 General Specifications or the HTTP contract.

    Attributes:
        code: a short, stable name of the broken rule, for programs.
        detail: the value, what is wrong with it, and what is allowed, for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
