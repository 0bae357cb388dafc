"""Reading a request's query parameters."""

from http import HTTPStatus
from typing import TypeVar

import falcon
import msgspec

from api.problems import ProblemError

Query = TypeVar("Query", bound=msgspec.Struct)


def read_query(req: falcon.Request, kind: type[Query]) -> Query:
    """Return the query parameters as ``kind`` has them.

    Raises:
        ProblemError: 422, one is unknown, is there twice or has a wrong value.
    """
    try:
        return msgspec.convert(req.params, kind, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        where = f"The query parameter {name} is {req.params.get(name)!r}: " if name else ""
        raise invalid_query(f"{where}{reason}. There are: {known}.") from None


def invalid_query(detail: str) -> ProblemError:
    """Return the 422 for a query that is not valid."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_query", detail)
