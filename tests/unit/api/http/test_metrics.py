from http import HTTPMethod

import falcon
import pytest
from falcon.testing import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.metrics import RequestMetrics

TEMPLATE = "/qr/bulk/{task_id}"


class Resource:
    def on_get(self, _req: falcon.Request, _resp: falcon.Response, task_id: str) -> None:
        if task_id == "broken":
            raise falcon.HTTPServiceUnavailable


class Refusal:
    """Answers before the request is routed, as a missing key does."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.get_header("X-API-Key") is None:
            raise falcon.HTTPUnauthorized


class Counted:
    """An application whose requests are counted."""

    def __init__(self) -> None:
        self.metrics = RequestMetrics()
        app = falcon.App[falcon.Request, falcon.Response](middleware=[self.metrics, Refusal()])
        app.add_route(TEMPLATE, Resource())
        self.client = TestClient(app)

    def send(self, path: str, method: str = "GET", key: str | None = "a key") -> None:
        headers = {} if key is None else {"X-API-Key": key}
        self.client.simulate_request(method, path, headers=headers)

    def count(self, route: str, status: str) -> float | None:
        labels = {"route": route, "method": "GET", "status": status}
        return self.metrics.registry.get_sample_value("qrmill_http_requests_total", labels)

    def labels(self, name: str) -> set[str]:
        families = self.metrics.registry.collect()
        return {sample.labels[name] for family in families for sample in family.samples}


def test_requests_count_by_route_method_and_status() -> None:
    app = Counted()
    for task_id in ("one", "two", "broken"):
        app.send(f"/qr/bulk/{task_id}")
    assert app.count(TEMPLATE, "200") == 2
    assert app.count(TEMPLATE, "503") == 1
    labels = {"route": TEMPLATE, "method": "GET", "status": "2xx"}
    name = "qrmill_http_request_seconds_count"
    assert app.metrics.registry.get_sample_value(name, labels) == 2


def test_what_is_answered_before_it_is_routed_counts_too() -> None:
    app = Counted()
    app.send("/qr/bulk/one", key=None)
    assert app.count("none", "401") == 1


SHARED = Counted()


@pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")  # a method that is none
@settings(max_examples=30)
@given(
    path=st.from_regex(r"/(qr/bulk/)?[a-z/]{0,20}", fullmatch=True),
    method=st.sampled_from([method.value for method in HTTPMethod]) | st.text("ABGET", min_size=1),
)
def test_no_request_makes_a_label_of_its_own(path: str, method: str) -> None:
    SHARED.send(path, method)
    assert SHARED.labels("route") <= {"none", TEMPLATE}
    assert SHARED.labels("method") <= {*HTTPMethod, "other"}
