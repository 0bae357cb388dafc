"""Examples in the OpenAPI document: errors by status, built by the service's own functions."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from api.http.authentication import (
    NO_KEY,
    TWO_KEYS,
    UNKNOWN_KEY,
    over_rate,
    unauthorized,
)
from api.http.content_encoding import malformed_gzip, unsupported_coding
from api.http.error_handlers import (
    backlog_full,
    idempotency_conflict,
    not_possible,
    unavailable,
)
from api.http.item_limits import over_item_limit
from api.http.json_decoding import unknown_names
from api.http.negotiation import CSV, JSON, not_acceptable
from api.http.problems import (
    ProblemError,
    Violations,
    invalid,
    not_found,
    operator_required,
    problem_body,
)
from api.http.request_bodies import too_large, unsupported_media_type
from api.intake.bulk_request import build_job_request
from api.intake.csv_items import read_csv
from api.intake.json_items import read_json
from api.intake.validation import RequestLimits
from api.openapi.request_examples import GTIN, TASK_ID, named
from pipeline.service import (
    BacklogFullError,
    IdempotencyError,
    ItemLimitError,
    LedgerUnavailableError,
    NotPossibleError,
    Standing,
    Window,
)

_REQUEST_ID = "b1f7e1c0-2f0e-4a55-9c5e-0d9f6c3a1b42"
_NOW = datetime(2026, 11, 23, 8, 0, 1, 20_000, UTC)
_LIMITS = RequestLimits(5000, "cset82", "https://id.gs1.org", chunk_size=250)
_SERIALS = [*(f"A{number:04}" for number in range(1, 17)), "A 0017"]
#: Copies of the service's messages; the tests of cancellation and purge compare them.
_ENDED = "The task has ended already; there is nothing to cancel."
_IN_FLIGHT = (
    "The task has not ended. Only ended tasks can be purged: cancel the task first, or wait until "
    "it ends."
)
_ITEMS_LEFT = Window(limit=100_000, seconds=60, remaining=2000, resets_at=21)
_OVER_ITEMS = ItemLimitError(5000, _ITEMS_LEFT, Standing(allowed=False, windows=(_ITEMS_LEFT,)))
_REPEATED = b'{"gtin": "9506000134352", "items": [{"lot": "A"}], "items": [{"lot": "B"}]}'
_WORKBOOK = b"PK\x03\x04xl/workbook.xml"
_OPEN_QUOTE = b'lot,serial\r\nLOT-7,A0001\r\nLOT-7,A0002\r\nLOT-7,"A0003\r\n'


def problem_examples() -> dict[str, dict[str, Any]]:
    """Return examples of every error, by status."""
    return {
        "400": named(
            json=("Incomplete JSON", _raised(_read_json, b"{")),
            repeated=("JSON with a member twice", _raised(_read_json, _REPEATED)),
            csv=("CSV with an unclosed quote", _raised(_read_csv, _OPEN_QUOTE)),
            workbook=("An Excel workbook as CSV", _raised(_read_csv, _WORKBOOK)),
            gzip=("Incomplete gzip", _example(malformed_gzip("it is incomplete"))),
        ),
        "401": named(
            missing=("No API key", _example(unauthorized(NO_KEY))),
            unknown=("An unknown API key", _example(unauthorized(UNKNOWN_KEY))),
            two=("Different API keys in two headers", _example(unauthorized(TWO_KEYS))),
        ),
        "403": named(role=("A key without the role operator", _example(operator_required()))),
        "404": named(task=("Unknown task", _raised(not_found, TASK_ID))),
        "406": named(
            html=("Accept: text/html", _example(not_acceptable(JSON, "text/html"))),
        ),
        "409": named(
            busy=(
                "The Idempotency-Key is in use",
                _example(idempotency_conflict(IdempotencyError(busy=True))),
            ),
            in_flight=(
                "The task to purge has not ended",
                _example(not_possible(NotPossibleError(_IN_FLIGHT))),
            ),
            ended=("The task has ended", _example(not_possible(NotPossibleError(_ENDED)))),
        ),
        "413": named(body=("Body over the limit", _example(too_large(5_120_000)))),
        "415": named(
            media_type=(
                "An HTML form",
                _example(unsupported_media_type((JSON, CSV), "application/x-www-form-urlencoded")),
            ),
            coding=("Unsupported compression", _example(unsupported_coding("br"))),
        ),
        "422": named(
            value=("Invalid serial number", _raised(_read_json, _json_body())),
            csv=("Invalid serial number in CSV", _raised(_read_csv, _csv_body())),
            strict=("A warning with `strict`", _raised(_read_json, _strict_body())),
            parameter=("Mistyped query parameter", _example(_mistyped_parameter())),
            reused=(
                "Idempotency-Key of another body",
                _example(idempotency_conflict(IdempotencyError(busy=False))),
            ),
        ),
        "429": named(
            rate=("Rate limit reached", _example(over_rate(300, 60, 21))),
            items=("Limit on items reached", _example(over_item_limit(_OVER_ITEMS, 0))),
            full=("Too many of your tasks wait", _example(_full_backlog(over_limit=False))),
        ),
        "503": named(
            unavailable=(
                "A dependency is unavailable",
                _example(unavailable(LedgerUnavailableError(), "POST")),
            ),
            full=("The backlog is full", _example(_full_backlog(over_limit=True))),
        ),
    }


def _full_backlog(*, over_limit: bool) -> ProblemError:
    return backlog_full(BacklogFullError(40, over_limit=over_limit))


def _example(error: ProblemError) -> Any:  # noqa: ANN401 - any JSON
    return msgspec.to_builtins(problem_body(error, _REQUEST_ID, _NOW))


def _raised(call: Callable[..., object], *arguments: object) -> Any:  # noqa: ANN401 - any JSON
    """Return the problem that ``call`` raises."""
    try:
        call(*arguments)
    except ProblemError as error:
        return _example(error)
    raise AssertionError(f"{call.__name__} raised no problem")


def _read_json(body: bytes) -> None:
    violations = Violations()
    build_job_request(read_json(body, _LIMITS, violations), _LIMITS, violations)


def _read_csv(body: bytes) -> None:
    violations = Violations()
    build_job_request(read_csv(body, {"gtin": GTIN}, _LIMITS, violations), _LIMITS, violations)


def _json_body() -> bytes:
    return msgspec.json.encode({"gtin": GTIN, "items": [{"serial": each} for each in _SERIALS]})


def _strict_body() -> bytes:
    items = [{"serial": "A0001"}, {"serial": "A0001"}]
    return msgspec.json.encode({"gtin": GTIN, "strict": True, "items": items})


def _csv_body() -> bytes:
    return "".join(["lot,serial\r\n", *(f"LOT-7,{each}\r\n" for each in _SERIALS)]).encode()


def _mistyped_parameter() -> ProblemError:
    violations = Violations()
    violations.extend(unknown_names(["dryrun"], ["dry_run"], "", violations, "query parameter"))
    return invalid(violations)
