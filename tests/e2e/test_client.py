"""The Python client against the whole service, over connections that break."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from api.client import ApiError, Client, TaskFailedError, TaskStatus, environment
from deploy.embedded.running import RunningStack
from tests.faults.proxy import PASS, FaultProxy, Mode, Seen

GTIN = "9506000134352"
ITEMS = [{"lot": f"LOT-{index % 7}", "serial": f"{index:05}"} for index in range(600)]


@pytest.fixture
def qrmill(stack: RunningStack, client: httpx2.Client) -> Iterator[Client]:
    with Client(stack.ready.api_url, client.headers["X-API-Key"]) as found:
        yield found


@contextmanager
def proxy_before(port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def test_a_request_is_submitted_waited_for_and_downloaded(qrmill: Client, tmp_path: Path) -> None:
    submitted = qrmill.submit(gtin=GTIN, items=ITEMS, format="svg")
    seen: list[TaskStatus] = []
    status = qrmill.wait(submitted.task_id, timeout=60, on_progress=seen.append)
    assert (status.status, status.items, seen[-1]) == ("completed", 600, status)
    path = qrmill.download(submitted.task_id, tmp_path / "bundle.zip")
    with zipfile.ZipFile(path) as bundle:
        assert len(json.loads(bundle.read("manifest.json"))) == 600
        assert bundle.testzip() is None


def test_a_download_that_is_cut_at_random_offsets_resumes_and_verifies(
    stack: RunningStack, client: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = client.headers["X-API-Key"]
    with Client(stack.ready.api_url, key) as qrmill:
        task_id = qrmill.submit(gtin=GTIN, items=ITEMS).task_id
        bundle = qrmill.wait(task_id, timeout=60).bundle
    assert bundle is not None
    seen: list[Seen] = []
    port = int(stack.ready.s3_endpoint_url.rpartition(":")[2])
    with proxy_before(port) as proxy:
        # The URL is signed for the store's own address, so that the proxy stands before it as a
        # proxy of this client does, which asks the API by a name that needs none. The store's
        # address has to pass for one that is not loopback, for which no proxy is used.
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setattr(environment, "is_loopback", lambda host: host == "localhost")
        proxy.mode, proxy.watch = Mode(cut=0.9), seen.append
        url = stack.ready.api_url.replace("127.0.0.1", "localhost")
        with Client(url, key, sleep=lambda _: None) as breaking:
            path = breaking.download(task_id, tmp_path / "bundle.zip")
        assert proxy.done["cut"] >= 4
        assert len(seen) == proxy.done["cut"] + 1
    content = path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (bundle.bytes, bundle.sha256)


def test_two_submits_with_one_key_are_one_task(qrmill: Client) -> None:
    first, second = (
        qrmill.submit(gtin=GTIN, items=ITEMS[:2], idempotency_key="order 1") for _ in range(2)
    )
    assert (first.replayed, second.replayed) == (False, True)
    assert first.task_id == second.task_id
    with pytest.raises(ApiError, match="key_reused"):
        qrmill.submit(gtin=GTIN, items=ITEMS[:3], idempotency_key="order 1")


def test_a_submit_whose_answer_is_lost_makes_one_task(
    stack: RunningStack, client: httpx2.Client
) -> None:
    seen: list[Seen] = []
    with proxy_before(int(stack.ready.api_url.rpartition(":")[2])) as proxy:

        def mend(_: float) -> None:
            proxy.mode = PASS

        proxy.mode, proxy.watch = Mode(lost=1.0), seen.append
        with Client(proxy.url, client.headers["X-API-Key"], sleep=mend) as breaking:
            submitted = breaking.submit(gtin=GTIN, items=ITEMS[:2])
            assert breaking.wait(submitted.task_id, timeout=60).status == "completed"
    assert [each.method for each in seen[:3]] == ["POST", "POST", "GET"]
    assert proxy.done["lost"] == 1
    assert submitted.replayed


def test_items_in_a_csv_file_are_submitted(qrmill: Client, tmp_path: Path) -> None:
    rows = [f"{item['lot']},{item['serial']}" for item in ITEMS]
    path = tmp_path / "items.csv"
    path.write_text("\r\n".join(["lot,serial", *rows, ""]), "utf-8")
    submitted = qrmill.submit_csv(path, gtin=GTIN, format="svg")
    assert submitted.items == 600
    status = qrmill.wait(submitted.task_id, timeout=60)
    again = qrmill.submit_csv(
        path.read_bytes(), gtin=GTIN, format="svg", idempotency_key=submitted.idempotency_key
    )
    assert (again.task_id, again.replayed, status.items) == (submitted.task_id, True, 600)


def test_a_cancelled_task_is_told_and_can_be_run_again(qrmill: Client) -> None:
    task_id = qrmill.submit(gtin=GTIN, items=ITEMS * 8).task_id
    with pytest.raises(ApiError, match="not_possible"):
        qrmill.purge(task_id)
    assert qrmill.cancel(task_id).error_code == "cancelled"
    assert qrmill.cancel(task_id).error_code == "cancelled"
    with pytest.raises(TaskFailedError, match="cancelled"):
        qrmill.wait(task_id)
    qrmill.retry(task_id)
    assert qrmill.wait(task_id, timeout=60).items == 4800
    chunks = [*qrmill.chunks(task_id)]
    assert [(chunk.state, chunk.first_item) for chunk in chunks[:2]] == [
        ("staged", 1),
        ("staged", 501),
    ]
    assert chunks[-1].last_item == 4800
    with pytest.raises(ApiError, match="not_possible"):
        qrmill.retry(task_id)
    qrmill.purge(task_id)
    qrmill.purge(task_id)
    with pytest.raises(ApiError, match="not_found"):
        qrmill.status(task_id)


def test_tasks_are_listed_over_pages(qrmill: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.client.client.TASKS_PER_PAGE", 2)
    sent = [qrmill.submit(gtin="96385074", items=[{}]).task_id for _ in range(5)]
    assert [task.task_id for task in qrmill.list(gtin="96385074")] == sent[::-1]
    assert [*qrmill.list(gtin="96385074", created_before=datetime(2020, 1, 1, tzinfo=UTC))] == []


def test_bad_values_are_told_with_their_places(qrmill: Client) -> None:
    with pytest.raises(ApiError, match="/items/1/lot") as raised:
        qrmill.submit(gtin=GTIN, items=[{}, {"lot": "a b"}])
    assert [(row.pointer, row.code) for row in raised.value.errors] == [
        ("/items/1/lot", "character")
    ]
