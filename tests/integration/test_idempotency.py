"""The same request, sent again, is the same job."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest
import redis
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.errors import BrokerUnavailableError, LedgerUnavailableError, StoreUnavailableError
from pipeline.ledger import idempotency
from pipeline.service import (
    BacklogFullError,
    Service,
    Settings,
)
from pipeline.storage.bucket import Bucket

BODY = json.dumps({"gtin": "9506000134352", "items": [{"serial": "1"}, {"serial": "2"}]})


def post(client: TestClient, key: str, body: str = BODY) -> Result:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return client.simulate_post("/qr/bulk/", body=body, headers=headers)


def requests_kept(bucket: Bucket) -> list[str]:
    return [key for key in bucket.list_keys("jobs/") if key.endswith("request.json")]


def test_the_same_key_and_body_get_the_same_answer(client: TestClient, bucket: Bucket) -> None:
    first, second = post(client, "order 7"), post(client, "order 7")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json == second.json
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    assert len(requests_kept(bucket)) == 1
    assert post(client, "order 8").json["task_id"] != first.json["task_id"]


def test_a_replay_does_not_count_as_accepted(client: TestClient, service: Service) -> None:
    def counted() -> list[float | None]:
        registry, format_png = service.submission._metrics.registry, {"format": "png"}
        names = ("qrmill_jobs_accepted_total", "qrmill_items_accepted_total")
        return [registry.get_sample_value(name, format_png) for name in names]

    for _ in range(2):
        assert post(client, "order 7").status_code == 202
        assert counted() == [1, 2]
    assert post(client, "order 7", BODY.replace('"2"', '"3"')).status_code == 422
    assert counted() == [1, 2]
    assert post(client, "order 8").status_code == 202
    assert counted() == [2, 4]


def test_another_body_is_refused(client: TestClient) -> None:
    post(client, "order 7")
    other = post(client, "order 7", BODY.replace('"2"', '"3"'))
    assert other.status_code == 422
    assert other.json["error_code"] == "key_reused"
    (row,) = other.json["errors"]
    assert row == {"pointer": "", "code": "key_reused", "detail": other.json["detail"]}
    assert other.json["errors_total"] == 1


def test_two_clients_may_use_the_same_key(
    client: TestClient, service: Service, settings: Settings
) -> None:
    token = service.api_keys.create(name="other", role="client").token
    other = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    assert post(client, "1").json["task_id"] != post(other, "1").json["task_id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_malformed_key_is_refused(client: TestClient, key: str) -> None:
    problem = post(client, key).json
    assert problem["error_code"] == "malformed_key"
    assert [(row["pointer"], row["code"]) for row in problem["errors"]] == [("", "malformed_key")]


def test_an_invalid_request_does_not_use_its_key_up(client: TestClient) -> None:
    assert post(client, "7", BODY.replace("9506000134352", "1")).status_code == 422
    assert post(client, "7").status_code == 202


def test_200_at_once_make_one_job(service: Service, settings: Settings, bucket: Bucket) -> None:
    token = service.api_keys.create(name="many", role="client", per_minute=1000).token
    client = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    with ThreadPoolExecutor(50) as pool:
        answers = [*pool.map(lambda _: post(client, "same"), range(200))]
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert {answer.json["task_id"] for answer in accepted} == {accepted[0].json["task_id"]}
    assert {answer.status_code for answer in answers} <= {202, HTTPStatus.CONFLICT}
    assert len(requests_kept(bucket)) == 1
    assert post(client, "same").headers["idempotency-replayed"] == "true"


def test_a_crash_between_reserving_and_answering_does_not_burn_the_key(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    class KilledError(BaseException):
        """As good as kill -9 to what runs in this process: nothing is tidied up."""

    def dies(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as context:
        context.setattr(idempotency, "_LEASE", 0)
        context.setattr(service.submission, "_roll_back", dies)
        context.setattr(idempotency.Reservation, "release", dies)
        context.setattr(service.jobs._dispatcher, "send_chunks", dies)
        with pytest.raises(KilledError):
            post(client, "7")
    (left,) = requests_kept(bucket)
    again = post(client, "7")
    assert again.status_code == 202
    assert "idempotency-replayed" not in again.headers
    assert requests_kept(bucket) == [left]
    assert again.json["task_id"] in left


def test_while_the_first_is_being_handled_the_second_is_told_so(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Result] = []

    def ask_again(*_: object) -> None:
        monkeypatch.undo()
        answers.append(post(client, "7"))

    monkeypatch.setattr(service.jobs._dispatcher, "send_chunks", ask_again)
    assert post(client, "7").status_code == 202
    assert (answers[0].status_code, answers[0].json["error_code"]) == (409, "key_in_use")
    assert answers[0].headers["retry-after"]


def test_a_request_that_failed_gives_its_key_back(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    def fails(*_: object) -> None:
        raise LedgerUnavailableError("away")

    with monkeypatch.context() as context:
        context.setattr(service.jobs._dispatcher, "send_chunks", fails)
        assert post(client, "7").status_code == 503
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.keys("qrmill:idempotency:*") == []
    assert post(client, "7").status_code == 202


def test_when_redis_dies_in_the_middle_the_request_stays_and_the_key_finds_its_job(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    def away(*_: object) -> None:
        raise LedgerUnavailableError("away")

    with monkeypatch.context() as context:
        context.setattr(service.jobs._dispatcher, "send_chunks", away)
        context.setattr(service.jobs._ledger, "discard_job", away)
        assert post(client, "7").status_code == 503
    (kept,) = requests_kept(bucket)
    again = post(client, "7")
    assert again.status_code == 202
    assert again.json["task_id"] in kept
    assert requests_kept(bucket) == [kept]


def test_when_s3_dies_in_the_middle_the_key_can_be_sent_again_at_once(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    def refuses(*_: object) -> None:
        raise StoreUnavailableError("SlowDown", "SlowDown", "an operation")

    with monkeypatch.context() as context:
        context.setattr(service.submission._records, "write_request", refuses)
        context.setattr(service.submission._fail_fast_records, "delete_request", refuses)
        refused = post(client, "7")
    assert refused.status_code == 503
    assert "may have been accepted" in refused.json["detail"]
    assert post(client, "7", BODY.replace('"2"', '"3"')).json["error_code"] == "key_reused"
    again = post(client, "7")
    assert again.status_code == 202
    assert requests_kept(bucket) == [f"jobs/{again.json['task_id']}/request.json"]


@pytest.mark.parametrize("operation", ["", "PutObject"], ids=["silent", "refused"])
def test_a_key_keeps_its_task_id_only_if_s3_may_have_the_request(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def fails(*_: object) -> None:
        raise StoreUnavailableError("failed", "failed", operation)

    with monkeypatch.context() as context:
        context.setattr(service.submission._records, "write_request", fails)
        assert post(client, "7").status_code == 503
    another = post(client, "7", BODY.replace('"2"', '"3"'))
    if operation:
        assert another.status_code == 202
    else:
        assert another.json["error_code"] == "key_reused"
        assert post(client, "7").status_code == 202


def test_a_key_that_was_taken_over_stays_with_its_job_when_the_request_is_refused(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    def silent(*_: object) -> None:
        raise StoreUnavailableError("ReadTimeoutError", "ReadTimeoutError")

    def full(_chunks: int, _tenant: str) -> None:
        raise BacklogFullError(1, over_limit=True)

    put = Bucket.put

    def arrives_unanswered(self: Bucket, key: str, data: bytes, content_type: str = "") -> None:
        put(self, key, data, content_type)
        silent()

    def refuses(*_: object) -> None:
        raise StoreUnavailableError("DeleteObject: SlowDown", "SlowDown", "DeleteObject")

    with monkeypatch.context() as context:
        context.setattr(Bucket, "put", arrives_unanswered)
        context.setattr(service.submission._fail_fast_records, "delete_request", refuses)
        assert post(client, "7").status_code == 503
    (kept,) = requests_kept(bucket)
    with monkeypatch.context() as context:
        context.setattr(service.submission._backlog, "admit", full)
        assert post(client, "7").status_code == 503
    assert post(client, "7").json["task_id"] in kept
    assert requests_kept(bucket) == [kept]


def overtaken(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> tuple[list[Result], Callable[..., None]]:
    """Return what a step of a request does that fails when another has taken its key over.

    The other's answer is put into the list.
    """
    answers: list[Result] = []

    def fails_late(*_: object) -> None:
        monkeypatch.undo()
        answers.append(post(client, "7"))
        raise error

    monkeypatch.setattr(idempotency, "_LEASE", 0)
    return answers, fails_late


def test_who_has_lost_a_key_undoes_nothing(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    """A request that is so slow that another takes it over fails when that has been accepted."""
    answers, fails_late = overtaken(
        client, monkeypatch, StoreUnavailableError("PutObject: SlowDown", "SlowDown", "PutObject")
    )
    monkeypatch.setattr(service.submission._records, "write_request", fails_late)
    assert post(client, "7").status_code == 503
    (accepted,) = answers
    assert accepted.status_code == 202
    task_id = accepted.json["task_id"]
    assert requests_kept(bucket) == [f"jobs/{task_id}/request.json"]
    assert client.simulate_get(accepted.json["poll_url"]).status_code == 200
    assert post(client, "7").json["task_id"] == task_id


def test_a_job_that_another_answered_for_is_not_taken_back(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    answers, fails_late = overtaken(client, monkeypatch, BrokerUnavailableError("away"))
    monkeypatch.setattr(service.jobs._dispatcher, "send_chunks", fails_late)
    assert post(client, "7").status_code == 503
    (accepted,) = answers
    assert accepted.status_code == 202
    assert client.simulate_get(accepted.json["poll_url"]).status_code == 200
    assert len(requests_kept(bucket)) == 1


def test_when_s3_is_silent_as_a_request_is_undone_its_key_waits_for_that(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise StoreUnavailableError("PutObject: SlowDown", "SlowDown", "PutObject")

    def silent(*_: object) -> None:
        raise StoreUnavailableError("ReadTimeoutError", "ReadTimeoutError")

    with monkeypatch.context() as context:
        context.setattr(service.submission._records, "write_request", refused)
        context.setattr(service.submission._fail_fast_records, "delete_request", silent)
        answer = post(client, "7")
    assert (answer.status_code, "may have been accepted" in answer.json["detail"]) == (503, True)
    assert post(client, "7").json["error_code"] == "key_in_use"
    with monkeypatch.context() as context:
        context.setattr(service.submission._records, "write_request", refused)
        assert "nothing was accepted" in post(client, "8").json["detail"]
    assert post(client, "8").status_code == 202


def test_an_object_is_as_long_whatever_the_id_of_its_http_request(
    client: TestClient, bucket: Bucket
) -> None:
    for request_id in ("x", "y" * 64):
        headers = {"X-Request-ID": request_id, "Content-Type": "application/json"}
        assert client.simulate_post("/qr/bulk/", body=BODY, headers=headers).status_code == 202
    first, second = (bucket.get(key) for key in requests_kept(bucket))
    assert len(first) == len(second)
    assert first.index(b"\n") == second.index(b"\n")
