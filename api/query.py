"""A request's query: parameters that there are, each at most once."""

from collections.abc import Collection
from http import HTTPStatus
from typing import TypeVar

import falcon
import msgspec

from api.decoding import unknown_names
from api.problem_schemas import Violation
from api.problems import ProblemError, Violations
from render.errors import shown

Query = TypeVar("Query", bound=msgspec.Struct)

_FLAGS = {"true": True, "false": False}


def read_query(
    req: falcon.Request, known: Collection[str], violations: Violations
) -> dict[str, str]:
    """Return the parameters of a query.

    A parameter that there is not is an error, because it may be a mistyped one: who sends
    ``dryrun=true`` does not want a job.

    Args:
        req: the request.
        known: the parameters that there are.
        violations: what is wrong is appended.
    """
    violations.extend(unknown_names(req.params, known, "", violations, "query parameter"))
    query = {}
    for name in known:
        value = req.params.get(name)
        if isinstance(value, str):
            query[name] = value
        elif value is not None:
            detail = f"The query parameter {name} is there {len(value)} times; send it once."
            violations.append(Violation(f"/{name}", "repeated_parameter", detail))
            query[name] = value[0]
    return query


def take_flag(query: dict[str, str], name: str, violations: Violations) -> bool:
    """Remove a flag from a query and return it; False when it is not there."""
    value = query.pop(name, "false")
    if value not in _FLAGS:
        detail = f"{shown(value)} is not a flag; true and false are."
        violations.append(Violation(f"/{name}", "type", detail))
    return _FLAGS.get(value, False)


def decode_query(req: falcon.Request, kind: type[Query]) -> Query:
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
