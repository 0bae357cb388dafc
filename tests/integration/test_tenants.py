"""Tenants: whose key may do what with whose jobs, and what a rotation or a lost Redis changes."""

import hashlib
import re
import uuid
from typing import Any, NamedTuple

import msgspec
import pytest
import redis
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.errors import LedgerUnavailableError
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import ApiKey, Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.conftest import StartWorker
from tests.receiver import receiving
from tests.waiting import wait_for

GTIN = "9506000134352"
BODY = {"gtin": GTIN, "items": [{"serial": f"{number}"} for number in range(25)]}
IMPORTED = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Those of all tests, with callbacks allowed to loopback."""
    return msgspec.structs.replace(
        settings, callback_http=True, callback_networks="127.0.0.0/8", lease=1
    )


class Caller(NamedTuple):
    client: TestClient
    key: ApiKey


class Callers(NamedTuple):
    """Keys by what they are to the tenant of the first."""

    owner: Caller
    same_tenant: Caller
    imported: Caller
    other_tenant: Caller
    expired: Caller
    revoked: Caller
    operator: Caller


@pytest.fixture
def callers(service: Service, settings: Settings) -> Callers:
    app, made = create_app(service, settings), service.api_keys

    def caller(token: str, key: ApiKey) -> Caller:
        return Caller(TestClient(app, headers={"X-API-Key": token}), key)

    def of(name: str, **fields: Any) -> Caller:  # noqa: ANN401 - as of create
        new = made.create(**{"name": name, "role": "client", **fields})
        return caller(new.token, new.key)

    owner = of("Print shop")
    tenant = owner.key.key_id
    expired = of("expired", tenant=tenant)
    made.rotate(expired.key.key_id, 0)
    revoked = of("revoked", tenant=tenant)
    made.revoke(revoked.key.key_id)
    imported = made.import_token(IMPORTED, name="press 3", role="client", tenant=tenant)
    return Callers(
        owner=owner,
        same_tenant=of("press 2", tenant=tenant),
        imported=caller(IMPORTED, imported),
        other_tenant=of("Print shop too"),
        expired=expired,
        revoked=revoked,
        operator=of("operator", role="operator"),
    )


def post(caller: Caller, **headers: str) -> Result:
    return caller.client.simulate_post("/qr/bulk/", json=BODY, headers=headers)


def submit(caller: Caller, **headers: str) -> str:
    answer = post(caller, **headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def poll(caller: Caller, task_id: str) -> Result:
    return caller.client.simulate_get(f"/qr/bulk/{task_id}/")


def ended(caller: Caller, task_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = poll(caller, task_id).json
        return found if found["status"] in {"completed", "failed"} else None

    return wait_for(look, "the task's end", pause=0.1)


def listed(caller: Caller, **query: str) -> list[dict[str, Any]]:
    answer = caller.client.simulate_get("/qr/bulk/", params={"limit": 200, **query})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json["tasks"]
    return rows


class Row(NamedTuple):
    """An operation, and the statuses that the callers get: the tenant's own, another, operator."""

    method: str
    path: str
    own: int
    other: int
    operator: int
    body: object = None
    query: str = ""


#: ``{task_id}`` is a job of the owner, ``{key_id}`` a key of the owner's tenant.
ROWS = (
    Row("POST", "/qr/", 200, 200, 200, {"gtin": GTIN}),
    Row("POST", "/qr/bulk/", 202, 202, 202, BODY),
    Row("GET", "/qr/bulk/", 200, 200, 200),
    Row("GET", "/qr/bulk/", 403, 403, 200, query="key=x"),
    Row("GET", "/qr/bulk/", 403, 403, 200, query="tenant={key_id}"),
    Row("GET", "/qr/bulk/{task_id}/", 200, 404, 200),
    Row("GET", "/qr/bulk/{task_id}/chunks/", 200, 404, 200),
    Row("POST", "/qr/bulk/{task_id}/retry/", 409, 404, 409),
    Row("DELETE", "/qr/bulk/{task_id}/", 200, 404, 200),
    Row("POST", "/keys/", 403, 403, 201, {"name": "x"}),
    Row("POST", "/keys/", 403, 403, 201, {"name": "x", "tenant": "Print shop"}),
    Row("GET", "/keys/", 403, 403, 200),
    Row("POST", "/keys/import/", 403, 403, 201, {"name": "x", "token": "{token}"}),
    Row("POST", "/keys/{key_id}/rotate/", 403, 403, 201, {}),
    Row("DELETE", "/keys/{key_id}/", 403, 403, 200),
    Row("POST", "/keys/{key_id}/webhook-secret/", 403, 403, 201),
    Row("GET", "/healthz", 200, 200, 200),
    Row("GET", "/readyz", 200, 200, 200),
)
PUBLIC = {"/healthz", "/readyz"}


def test_the_matrix_has_every_operation_of_the_document(callers: Callers) -> None:
    paths = callers.owner.client.simulate_get("/openapi.json").json["paths"]
    documented = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method in operations
        if method in {"get", "post", "delete", "put", "patch"}
    }
    assert {(row.method, row.path) for row in ROWS} == documented


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path} {row.query}")
def test_what_each_caller_may_do(callers: Callers, service: Service, row: Row) -> None:
    refused = 200 if row.path in PUBLIC else 401
    statuses = {
        "owner": row.own,
        "same_tenant": row.own,
        "imported": row.own,
        "other_tenant": row.other,
        "expired": refused,
        "revoked": refused,
        "operator": row.operator,
    }
    assert {*statuses} == {*Callers._fields}
    for number, (name, expected) in enumerate(statuses.items()):
        task_id = submit(callers.owner)
        spare = service.api_keys.create(name="spare", role="client", tenant="Print shop").key
        path = row.path.format(task_id=task_id, key_id=spare.key_id)
        token = hashlib.sha256(f"{row} {number}".encode()).hexdigest()
        body = None if row.body is None else _filled(row.body, token)
        answer = getattr(callers, name).client.simulate_request(
            row.method, path, json=body, query_string=row.query.format(key_id=spare.key_id)
        )
        assert answer.status_code == expected, (name, answer.text)
        unchanged = expected >= 400 or row.method == "GET"
        if unchanged and "{task_id}" in row.path:
            assert poll(callers.owner, task_id).json["status"] == "pending"
        if expected >= 400:
            assert service.api_keys.find(spare.key_id) == spare
            assert IMPORTED not in answer.text


def _filled(body: object, token: str) -> object:
    if isinstance(body, dict):
        return {name: token if value == "{token}" else value for name, value in body.items()}
    return body


def test_own_webhook_secrets_are_those_of_the_tenant(callers: Callers, service: Service) -> None:
    path, tenant = "/keys/self/webhook-secret/", callers.owner.key.key_id
    for caller in (callers.owner, callers.same_tenant, callers.imported):
        made = caller.client.simulate_post(path).json
        assert (made["key_id"], made["tenant"]) == (caller.key.key_id, tenant)
        assert service.webhook_secrets.signing(tenant)[0] == made["webhook_secret"]
    assert len(service.webhook_secrets.signing(tenant)) == 3
    theirs = callers.other_tenant.client.simulate_post(path).json
    assert theirs["tenant"] == callers.other_tenant.key.key_id
    assert len(service.webhook_secrets.signing(tenant)) == 3
    # An operator names any key of the tenant.
    by_operator = f"/keys/{callers.same_tenant.key.key_id}/webhook-secret/"
    assert callers.operator.client.simulate_post(by_operator).json["tenant"] == tenant


def test_lists_show_the_jobs_of_the_tenant_and_who_sent_them(callers: Callers) -> None:
    tenant = callers.owner.key.key_id
    own = (callers.owner, callers.same_tenant, callers.imported)
    sent = {submit(caller): caller for caller in (*own, callers.other_tenant)}
    for caller in own:
        rows = {row["task_id"]: row for row in listed(caller)}
        assert {task_id: sent[task_id].key.key_id for task_id in rows} == {
            task_id: row["sent_by"] for task_id, row in rows.items()
        }
        assert {row["tenant"] for row in rows.values()} == {tenant}
        assert {row["key"] for row in rows.values()} == {"Print shop", "press 2", "press 3"}
    (row,) = listed(callers.other_tenant)
    assert row["tenant"] == row["sent_by"] == callers.other_tenant.key.key_id
    assert {row["task_id"] for row in listed(callers.operator)} == {*sent}


def test_operators_filter_by_tenant(callers: Callers) -> None:
    mine = {submit(callers.owner), submit(callers.same_tenant)}
    theirs = {submit(callers.other_tenant)}

    def found(tenant: str, **query: str) -> set[str]:
        return {row["task_id"] for row in listed(callers.operator, tenant=tenant, **query)}

    for named in (callers.owner.key.key_id, callers.revoked.key.key_id, "Print shop"):
        assert found(named) == mine
    assert found("Print shop too") == found(callers.other_tenant.key.key_id) == theirs
    assert found("Print shop", key="press 2") < mine
    assert found("Print shop", status="failed") == set()
    assert found("0" * 12) == set()  # a tenant whose first key was deleted from S3 by hand
    unknown = callers.operator.client.simulate_get("/qr/bulk/", params={"tenant": "press 2"})
    assert unknown.status_code == 422
    (violation,) = unknown.json["errors"]
    assert (violation["pointer"], violation["code"]) == ("/tenant", "unknown_tenant")
    assert "'press 2'" in violation["detail"]


def test_a_filter_by_a_name_that_two_tenants_have_names_both(
    callers: Callers, service: Service
) -> None:
    twin = service.api_keys.create(name="Print shop", role="client").key.key_id
    answer = callers.operator.client.simulate_get("/qr/bulk/", params={"tenant": "Print shop"})
    (violation,) = answer.json["errors"]
    assert {twin, callers.owner.key.key_id} <= {*re.findall(r"[0-9a-z]{12}", violation["detail"])}


def test_an_idempotency_key_is_the_tenants(callers: Callers) -> None:
    task_id = submit(callers.owner, **{"Idempotency-Key": "order 7"})
    for caller in (callers.same_tenant, callers.imported):
        again = post(caller, **{"Idempotency-Key": "order 7"})
        assert (again.status_code, again.json["task_id"]) == (202, task_id)
        assert again.headers["idempotency-replayed"] == "true"
    assert submit(callers.other_tenant, **{"Idempotency-Key": "order 7"}) != task_id
    assert len(listed(callers.owner)) == 1


def test_rates_are_each_keys_own(callers: Callers, service: Service) -> None:
    first = int(poll(callers.owner, str(uuid.uuid4())).headers["ratelimit-remaining"])
    poll(callers.same_tenant, str(uuid.uuid4()))
    second = int(poll(callers.owner, str(uuid.uuid4())).headers["ratelimit-remaining"])
    assert second == first - 1
    assert service.api_keys.find(callers.same_tenant.key.key_id).per_minute == 0


def test_a_rotation_in_the_middle_of_jobs_loses_nothing(
    callers: Callers, service: Service, settings: Settings, start_worker: StartWorker
) -> None:
    operator, former = callers.operator.client, callers.owner
    secret = former.client.simulate_post("/keys/self/webhook-secret/").json["webhook_secret"]
    with receiving() as receiver:
        body = {**BODY, "callback_url": receiver.url}
        order = {"Idempotency-Key": "order 7"}
        sent = former.client.simulate_post("/qr/bulk/", json=body, headers=order).json
        to_cancel = submit(former)
        rotated = operator.simulate_post(f"/keys/{former.key.key_id}/rotate/", json={"days": 7})
        assert rotated.status_code == 201
        assert rotated.json["former"]["key_id"] == former.key.key_id
        assert rotated.json["former"]["expires_at"] is not None
        client = TestClient(
            create_app(service, settings), headers={"X-API-Key": rotated.json["api_key"]}
        )
        new = Caller(client, service.api_keys.find(rotated.json["key_id"]))
        assert (new.key.tenant, new.key.name) == (former.key.key_id, "Print shop")
        again = client.simulate_post("/qr/bulk/", json=body, headers=order)
        assert (again.status_code, again.json) == (202, sent)
        assert again.headers["idempotency-replayed"] == "true"
        assert poll(former, sent["task_id"]).json["status"] == "pending"
        # A new secret signs beside the one that the receiver knows.
        client.simulate_post("/keys/self/webhook-secret/")
        operator.simulate_delete(f"/keys/{former.key.key_id}/")
        assert poll(former, sent["task_id"]).status_code == 401
        assert client.simulate_delete(f"/qr/bulk/{to_cancel}/").json["error_code"] == "cancelled"
        retried = client.simulate_post(f"/qr/bulk/{to_cancel}/retry/")
        assert retried.status_code == 202
        later = submit(new)
        start_worker()
        tasks = (sent["task_id"], to_cancel, later)
        assert [ended(new, task_id)["status"] for task_id in tasks] == ["completed"] * 3
        received = wait_for(lambda: receiver.received, "the webhook")
    assert [each.verified(secret)["data"]["task_id"] for each in received] == [sent["task_id"]]
    senders = {row["task_id"]: row["sent_by"] for row in listed(new)}
    assert senders == {
        sent["task_id"]: former.key.key_id,
        to_cancel: former.key.key_id,
        later: new.key.key_id,
    }


def test_a_request_that_a_key_of_another_name_repeats_may_overwrite_the_first(
    *,
    callers: Callers,
    service: Service,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    start_worker: StartWorker,
) -> None:
    """The ledger may have the places of the first object's items, and the second object is read."""

    def away(*_: object) -> None:
        raise LedgerUnavailableError("the connection broke")

    with monkeypatch.context() as broken:
        # The job is created, but the process does not learn that, and cannot undo it.
        create = service.submission._ledger.create_job
        broken.setattr(
            service.submission._ledger, "create_job", lambda *given: away(create(*given))
        )
        broken.setattr(service.submission._ledger, "discard_job", away)
        assert post(callers.owner, **{"Idempotency-Key": "order 7"}).status_code == 503
    (row,) = listed(callers.owner)
    name = keys.request_object(row["task_id"])
    first = bucket.get(name)
    with monkeypatch.context() as blind:
        # The second process reads the ledger before the first has created the job.
        blind.setattr(service.submission._ledger, "status", lambda _: None)
        post(callers.same_tenant, **{"Idempotency-Key": "order 7"})
    second = bucket.get(name)
    assert first != second
    assert callers.same_tenant.key.key_id.encode() in second
    assert first.index(b"\n") == second.index(b"\n")
    service.jobs._dispatcher.send_chunks(row["task_id"], range(3), callers.owner.key.tenant)
    start_worker()
    assert ended(callers.owner, row["task_id"])["status"] == "completed"


def test_a_redis_that_lost_everything_gets_all_back_under_the_right_tenant(
    callers: Callers, settings: Settings, redis_url: str, start_worker: StartWorker
) -> None:
    senders = (callers.owner, callers.same_tenant, callers.imported, callers.other_tenant)
    headers = {"Idempotency-Key": "order 7"}
    done = {submit(caller): caller for caller in senders}
    worker = start_worker()
    for task_id, caller in done.items():
        assert ended(caller, task_id)["status"] == "completed"
    worker.stop()
    order = submit(callers.same_tenant, **headers)
    in_flight = {submit(caller): caller for caller in senders} | {order: callers.same_tenant}
    before = {caller.key.key_id: listed(caller) for caller in senders}
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    assert listed(callers.owner) == []
    # A poll by another key of the tenant restores a job at once; one of another tenant sees none.
    assert poll(callers.other_tenant, order).status_code == 404
    assert poll(callers.owner, order).json["status"] == "pending"
    sweep = open_sweep(settings)
    wait_for(lambda: sweep.once() and len(listed(callers.operator)) == 9, "all jobs back")
    for caller in senders:
        assert listed(caller) == before[caller.key.key_id]
    for task_id, caller in (done | in_flight).items():
        own = caller.key.tenant == callers.owner.key.key_id
        assert poll(callers.imported, task_id).status_code == (200 if own else 404)
        assert poll(callers.other_tenant, task_id).status_code == (404 if own else 200)
    again = post(callers.owner, **headers)
    assert again.json["task_id"] == order
    assert again.headers["idempotency-replayed"] == "true"
    start_worker()
    for task_id, caller in in_flight.items():
        assert ended(caller, task_id)["status"] == "completed"


def test_a_job_that_release_0_2_0_accepted_from_a_rotated_key_stays_that_keys(
    callers: Callers, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rollback, such a job belongs to the key and not to its tenant."""
    without = msgspec.structs.replace(callers.same_tenant.key, first_key_id="", first_key_name="")
    with monkeypatch.context() as rolled_back:
        rolled_back.setattr(service.api_keys, "authenticate", lambda _: without)
        task_id = submit(callers.same_tenant)
    for caller, status in (
        (callers.same_tenant, 200),
        (callers.operator, 200),
        (callers.owner, 404),
        (callers.other_tenant, 404),
    ):
        assert poll(caller, task_id).status_code == status
