"""Dramatiq's own dashboard behind the console's sign-in, and its faults kept from its users."""

import html
import re
from importlib.util import find_spec

import pytest
import redis
from falcon.testing import TestClient

from api.app import create_app
from pipeline.ledger import keys as ledger_keys
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.conftest import StartWorker
from tests.integration.console_visitor import Visitor
from tests.waiting import wait_for

needs_dashboard = pytest.mark.skipif(
    find_spec("dramatiq_dashboard") is None,
    reason="no dramatiq-dashboard; `make dashboard` installs it",
)
Fields = list[tuple[str, str]]
_FORM = re.compile(r'<form action="(/dramatiq/[^"]+)" method="POST">(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'name="([^"]+)" value="([^"]*)"')


@pytest.fixture
def visitor(service: Service, settings: Settings, operator_token: str) -> Visitor:
    found = Visitor(create_app(service, settings))
    assert found.sign_in(operator_token).status_code == 303
    return found


def forms(page: str, action: str) -> list[Fields]:
    """The fields of every form of a page that leads to ``action``, hidden ones as they stand."""
    return [
        [(name, html.unescape(value)) for name, value in _INPUT.findall(inside)]
        for target, inside in _FORM.findall(page)
        if target == action
    ]


def test_without_it_the_path_says_how_it_is_installed(
    service: Service, settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.console.dramatiq_dashboard.find_spec", lambda _: None)
    visitor = Visitor(create_app(service, settings))
    assert visitor.get("/dramatiq/").status_code == 303
    visitor.sign_in(operator_token)
    answer = visitor.get("/dramatiq/queues/render")
    assert answer.status_code == 404
    assert "make dashboard" in answer.text


@needs_dashboard
def test_it_shows_the_queues_and_its_faults_reach_no_user(visitor: Visitor) -> None:
    for path in ("/dramatiq", "/dramatiq/", "/dramatiq/queues/render/"):
        page = visitor.get(path)
        assert page.status_code == 200, path
        assert "Dramatiq Dashboard" in page.text
        assert "render" in page.text
    answer = visitor.get("/dramatiq/queues/render")
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    keep_its_faults(visitor)


def keep_its_faults(visitor: Visitor) -> None:
    refused = {
        "/dramatiqx": 401,
        "/dramatiq/queues/render?cursor=x": 400,
        "/dramatiq/queues/render?cursor=-1": 400,
        "/dramatiq/nothing": 404,
        "/dramatiq/requeue-message": 405,
        "/dramatiq/queues/render/failed/nobody": 302,
    }
    for path, status in refused.items():
        answer = visitor.get(path)
        assert answer.status_code == status, path
        assert "Traceback" not in answer.text
    wrong: list[Fields] = [[], [("queue", "render")], [("queue", "render.XQ"), ("id", "1")]]
    for fields in wrong:  # of which none has its token
        assert visitor.post("/dramatiq/requeue-message", fields).status_code == 403
    visitor.get("/dramatiq/queues/render/failed")
    token = ("__dd_csrf", visitor.cookies["__dd_csrf"])
    assert visitor.post("/dramatiq/requeue-message", [token]).status_code == 400
    gone = [token, ("queue", "render.XQ"), ("id", "1")]
    assert visitor.post("/dramatiq/requeue-message", gone).status_code == 410
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    answer = visitor.post("/dramatiq/requeue-message", gone, headers=elsewhere)
    assert answer.status_code == 403


@needs_dashboard
def test_a_requeue_there_completes_the_job(
    visitor: Visitor,
    client: TestClient,
    bucket: Bucket,
    start_worker: StartWorker,
    redis_url: str,
) -> None:
    body = {"gtin": "9506000134352", "items": [{}] * 25}
    task_id = client.simulate_post("/qr/bulk/", json=body).json["task_id"]
    request = bucket.get(keys.request_object(task_id))
    bucket.delete(keys.request_object(task_id))
    start_worker()
    with redis.Redis.from_url(redis_url) as connection:
        wait_for(
            lambda: connection.zcard(ledger_keys.dead_letters("render")) == 3, "the dead letters"
        )
    bucket.put(keys.request_object(task_id), request, "application/json")
    page = visitor.get("/dramatiq/queues/render/failed").text
    requeue = forms(page, "/dramatiq/requeue-message")
    assert len(requeue) == 3
    for fields in requeue:
        assert visitor.post("/dramatiq/requeue-message", fields).status_code == 302

    def completed() -> bool:
        answer = client.simulate_get(f"/qr/bulk/{task_id}/").json
        return bool(answer["status"] == "completed" and answer["items"] == 25)

    wait_for(completed, "the job's end", pause=0.1)
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.zcard(ledger_keys.dead_letters("render")) == 0
