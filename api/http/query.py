"""A request's query: parameters that there are, each at most once."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import falcon
import msgspec

from api.http.json_decoding import unknown_names
from api.http.problems import Violations
from api.schemas.problems import Violation
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


def decode_query(req: falcon.Request, kind: type[Query], violations: Violations) -> Query:
    """Return a query as ``kind`` has it; what is wrong keeps its default.

    Args:
        req: the request.
        kind: its fields are the parameters that there are, each with a default.
        violations: what is wrong is appended.
    """
    return kind(
        **convert_query(read_query(req, kind.__struct_fields__, violations), kind, violations)
    )


def convert_query(
    query: Mapping[str, str], kind: type[msgspec.Struct], violations: Violations
) -> dict[str, Any]:
    """Return the parameters of ``query`` that are fields of ``kind`` and have its types."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in query:
            try:
                values[field.name] = msgspec.convert(query[field.name], field.type, strict=False)
            except msgspec.ValidationError as error:
                detail = f"{shown(query[field.name])} does not fit: {error}."
                violations.append(Violation(f"/{field.name}", "type", detail))
    return values
