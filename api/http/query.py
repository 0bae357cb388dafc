"""Query parameters of a request: known names only, each at most once."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import falcon
import msgspec

from api.http.json_decoding import describe_type, unknown_names
from api.http.problems import Violations
from api.schemas.problems import Violation
from render.errors import shown

Query = TypeVar("Query", bound=msgspec.Struct)

_FLAGS = {"true": True, "false": False}


def read_query(
    req: falcon.Request, known: Collection[str], violations: Violations
) -> dict[str, str]:
    """Return the query parameters of a request, undecoded.

    An unknown parameter is an error, because it may be a mistyped one: a client that sends
    ``dryrun=true`` does not want a job.

    Args:
        req: the request.
        known: names of the parameters that the request may have.
        violations: receives a violation for each unknown or repeated parameter.
    """
    violations.extend(unknown_names(req.params, known, "", violations, "query parameter"))
    query = {}
    for name in known:
        value = req.params.get(name)
        if isinstance(value, str):
            query[name] = value
        elif value is not None:
            detail = f"The query parameter {name} occurs {len(value)} times. Send it once."
            violations.append(Violation(f"/{name}", "repeated_parameter", detail))
            query[name] = value[0]
    return query


def take_flag(query: dict[str, str], name: str, violations: Violations) -> bool:
    """Remove a boolean parameter from a query and return its value; False if it is absent."""
    value = query.pop(name, "false")
    if value not in _FLAGS:
        detail = f"{shown(value)} is not accepted. The value must be true or false."
        violations.append(Violation(f"/{name}", "type", detail))
    return _FLAGS.get(value, False)


def decode_query(req: falcon.Request, kind: type[Query], violations: Violations) -> Query:
    """Decode the query of a request as ``kind``; an invalid parameter gets its default.

    Args:
        req: the request.
        kind: type whose fields are the parameters, each with a default.
        violations: receives a violation for each parameter that is unknown, repeated or invalid.
    """
    return kind(
        **convert_query(read_query(req, kind.__struct_fields__, violations), kind, violations)
    )


def convert_query(
    query: Mapping[str, str], kind: type[msgspec.Struct], violations: Violations
) -> dict[str, Any]:
    """Decode the parameters of ``query`` that are fields of ``kind``; leave invalid ones out.

    Args:
        query: values by parameter name.
        kind: type whose fields are parameters; other parameters are ignored.
        violations: receives a violation for each value of the wrong type.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in query:
            try:
                values[field.name] = msgspec.convert(query[field.name], field.type, strict=False)
            except msgspec.ValidationError:
                expected = describe_type(field.type)
                detail = (
                    f"{shown(query[field.name])} is not accepted. The value must be {expected}."
                )
                violations.append(Violation(f"/{field.name}", "type", detail))
    return values
