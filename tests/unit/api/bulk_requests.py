"""Bulk requests through their check, as JSON and as CSV."""

from collections.abc import Mapping

from api.http.problems import Violations
from api.intake.bulk_request import build_job_request
from api.intake.csv_items import read_csv
from api.intake.json_items import read_json
from api.intake.validation import RequestLimits
from pipeline.model.jobs import Item
from pipeline.model.request_object import decode_items
from pipeline.service import JobRequest

LIMITS = RequestLimits(
    max_items=5000, charset="cset82", link_base="https://id.gs1.org", chunk_size=250
)
GTIN = "9506000134352"


def parse_bulk(body: bytes, limits: RequestLimits = LIMITS) -> JobRequest:
    violations = Violations()
    return build_job_request(read_json(body, limits, violations), limits, violations)


def parse_csv(
    body: bytes, query: Mapping[str, str] | None = None, limits: RequestLimits = LIMITS
) -> JobRequest:
    violations = Violations()
    parsed = read_csv(body, {"gtin": GTIN} if query is None else query, limits, violations)
    return build_job_request(parsed, limits, violations)


def items_of(request: JobRequest) -> list[Item]:
    return [item for chunk in request.items.chunks for item in decode_items(chunk)]
