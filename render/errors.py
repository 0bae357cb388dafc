"""The error for a value that breaks a GS1 rule, and how errors show what a client sent."""

#: Number of characters of a name or value of a client that an error shows.
MOST_SHOWN = 60


def truncated(text: str, most: int = MOST_SHOWN) -> str:
    """Return a client's text as a response may contain it: its first characters if it is long.

    Every text that a client sends passes through this function before it enters a response, so that
    the size of a response does not depend on the size of the request.

    Args:
        text: name or value that a client sent.
        most: maximum number of characters. An ellipsis (…) replaces those that follow.
    """
    return text if len(text) <= most else f"{text[:most]}…"


def shown(value: object) -> str:
    """Return an invalid value as an error shows it: its ``repr``, truncated if it is long."""
    if not isinstance(value, str):
        return truncated(repr(value))
    return repr(value[:MOST_SHOWN]) + truncated(value)[MOST_SHOWN:]


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
