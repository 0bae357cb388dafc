"""What the console shows and does, over real servers and a real worker."""

import io
import re
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from typing import cast

import dramatiq
import pytest
import redis
import resvg_py
import zxingcpp
from falcon.testing import TestClient
from PIL import Image

from api.app import create_app
from pipeline.broker.dead_letters import DeadLetters
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobRequest
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.integration.console_visitor import Visitor
from tests.waiting import wait_for

GTIN = "9506000134352"
NOW = 1_795_000_000


@pytest.fixture
def visitor(service: Service, settings: Settings, operator_token: str) -> Visitor:
    found = Visitor(create_app(service, settings))
    assert found.sign_in(operator_token).status_code == 303
    return found


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def post(client: TestClient, items: int = 25, **fields: object) -> str:
    body = {"gtin": GTIN, "items": [{"lot": f"L{n}"} for n in range(items)], **fields}
    answer = client.simulate_post("/qr/bulk/", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def read_svg(svg: bytes) -> str:
    """Return the text of the symbol in an SVG, as other libraries draw and decode it."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg.decode(), zoom=4, dpi=96))
    with Image.open(io.BytesIO(png)) as image:
        (found,) = zxingcpp.read_barcodes(image.convert("L"))
    return found.text


def state_of(client: TestClient, task_id: str) -> str:
    return str(client.simulate_get(f"/qr/bulk/{task_id}/").json["status"])


def await_state(client: TestClient, task_id: str, state: str) -> None:
    wait_for(lambda: state_of(client, task_id) == state, state, pause=0.1)


def enter_jobs(ledger: Ledger, count: int, *, since: int = 0) -> None:
    """Enter jobs as the API does, each newer than the one before."""
    request = JobRequest(
        gtin=f"0{GTIN}",
        items=encoded([Item()], 10),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
    )
    for place in range(since, since + count):
        acceptance = Acceptance(str(uuid.uuid4()), "0" * 12, NOW * 1000, None, f"key {place % 7}")
        head, line = encode_head(request, acceptance)
        ledger.create_job(head, NOW * 1000 + place, len(line), 3_600_000)
        if place % 5 == 0:
            ledger.fail_job(head.task_id, Failure("render_failed", "It failed."))


def copy_jobs(connection: redis.Redis, count: int) -> None:
    """Enter as many jobs as ``count`` more like those that are there, each a little older."""
    found = [str(task_id) for task_id in connection.zrange(ledger_keys.ALL_JOBS, 0, -1)]
    fields = [cast("dict[str, str]", connection.hgetall(ledger_keys.job(one))) for one in found]
    with connection.pipeline(transaction=False) as pipe:
        for place in range(count):
            task_id, created_at = str(uuid.uuid4()), NOW * 1000 - place
            copied = fields[place % len(fields)] | {
                "task_id": task_id,
                "created_at": str(created_at),
            }
            pipe.hset(
                ledger_keys.job(task_id), items=[part for pair in copied.items() for part in pair]
            )
            pipe.zadd(ledger_keys.ALL_JOBS, {task_id: created_at})
        pipe.execute()


def dead_letters(client: redis.Redis) -> list[str]:
    return [str(name) for name in client.zrange(ledger_keys.dead_letters("render"), 0, -1)]


@pytest.fixture
def failed(
    client: TestClient, bucket: Bucket, start_worker: StartWorker, connection: redis.Redis
) -> tuple[str, bytes]:
    """A job whose request was gone when its chunks were begun; and the request."""
    task_id = post(client)
    request = bucket.get(keys.request_object(task_id))
    bucket.delete(keys.request_object(task_id))
    start_worker()
    await_state(client, task_id, "failed")
    wait_for(lambda: len(dead_letters(connection)) == 3, "three dead letters")
    return task_id, request


def test_the_overview_tells_of_queues_workers_and_the_last_hour(
    visitor: Visitor, client: TestClient, start_worker: StartWorker
) -> None:
    waiting = visitor.get("/ops/").text
    assert "No worker has sent a heartbeat" in waiting
    task_id = post(client)
    page = visitor.get("/ops/").text
    assert re.search(r'<th scope="row">render</th><td class="n">3</td>', page)
    start_worker()
    await_state(client, task_id, "completed")
    page = visitor.get("/ops/").text
    assert "alive</span>" in page
    assert "Items rendered <strong>25</strong>" in page
    assert "Jobs completed <strong>1</strong>" in page
    assert "0.0 % <small>" in page
    assert page.count("</span> available</span>") == 3


def test_the_counts_of_the_hour_never_grow_and_have_no_cancelled_jobs(
    visitor: Visitor, client: TestClient, ledger: Ledger, connection: redis.Redis
) -> None:
    connection.hset(ledger_keys.MINUTES, mapping={f"failed:{n}": f"{n} 9" for n in range(60)})
    client.simulate_delete(f"/qr/bulk/{post(client)}/")
    assert "no job has ended" in visitor.get("/ops/").text
    ledger.fail_job(post(client), Failure("render_failed", "It failed."))
    assert "100.0 % <small>" in visitor.get("/ops/").text
    counts = cast("dict[str, str]", connection.hgetall(ledger_keys.MINUTES))
    assert len(counts) == 60
    assert sum(value.endswith(" 9") for value in counts.values()) == 59  # one minute's was old


def test_the_overview_costs_as_many_redis_calls_for_a_thousand_jobs_as_for_ten(
    visitor: Visitor, ledger: Ledger, service: Service, connection: redis.Redis
) -> None:
    def calls() -> int:
        connection.config_resetstat()
        visitor.get("/ops/")
        stats = cast("dict[str, dict[str, int]]", connection.info("commandstats"))
        # Redis is probed every two seconds, however often the page is read.
        probes = ("cmdstat_ping", "cmdstat_set")
        return sum(row["calls"] for name, row in stats.items() if name not in probes) - 1

    def fill(jobs: int, since: int) -> None:
        enter_jobs(ledger, jobs, since=since)
        for _ in range(jobs):
            service.jobs._dispatcher.send_bundle(str(uuid.uuid4()), "")

    fill(10, 0)
    assert visitor.get("/ops/").status_code == 200
    few = calls()
    fill(990, 10)
    assert calls() == few
    assert few < 150  # eight commands per queue, in two round trips


def test_the_jobs_page_of_ten_thousand_jobs(
    visitor: Visitor,
    ledger: Ledger,
    connection: redis.Redis,
    capsys: pytest.CaptureFixture[str],
) -> None:
    enter_jobs(ledger, 35)
    copy_jobs(connection, 10_000 - 35)
    times = {}
    for query in ("", "?state=failed", "?q=key+3", f"?q={GTIN}", "?state=completed", "?q=nobody"):
        started = time.perf_counter()
        page = visitor.get(f"/ops/jobs{query}")
        times[query] = (time.perf_counter() - started) * 1000
        assert page.status_code == 200
    told = ", ".join(f"{query or 'all'} {ms:.0f} ms" for query, ms in times.items())
    with capsys.disabled():
        sys.stdout.write(f"\nthe jobs page of 10,000 jobs: {told}\n")
    found, path = 0, "/ops/jobs?state=failed"
    while path:
        text = visitor.get(path).text
        older = re.search(r'href="([^"]+)" rel="next"', text)
        path = older[1].replace("&amp;", "&") if older else ""
        found += text.count('id="job-')
    assert found == 2000


def test_jobs_are_found_by_state_task_id_key_and_gtin(visitor: Visitor, client: TestClient) -> None:
    mine, other = post(client), post(client, gtin="4006381333931")
    assert f"job-{mine}" in visitor.get("/ops/jobs").text
    for query in ("q=client", "q=client&state=pending", f"q={GTIN}", "q=950-6000-134352"):
        assert f"job-{mine}" in visitor.get(f"/ops/jobs?{query}").text, query
    for query in ("q=nobody", "state=completed", "q=4006381333931"):
        assert f"job-{mine}" not in visitor.get(f"/ops/jobs?{query}").text, query
    found = visitor.get(f"/ops/jobs?q=%20{other.upper()}")
    assert found.headers["location"] == f"/ops/jobs/{other}"
    for query, detail in (("state=done", "done&#39; is not a state"), ("cursor=x", "x&#39; ")):
        response = visitor.get(f"/ops/jobs?{query}")
        assert response.status_code == 422
        assert detail in response.text


def test_jobs_are_found_by_their_tenant_or_any_of_its_keys(
    visitor: Visitor, client: TestClient, service: Service
) -> None:
    others = post(client)
    first = service.api_keys.create(name="Tenant", role="client").key.key_id
    second = service.api_keys.create(name="press 2", role="client", tenant=first)
    task_id = post(TestClient(visitor._client.app, headers={"X-API-Key": second.token}))
    for query in (first, second.key.key_id, "press%202"):
        page = visitor.get(f"/ops/jobs?q={query}").text
        assert f"job-{task_id}" in page
        assert f"job-{others}" not in page
    for query in ("0" * 11 + "x", "Tenant", "%27%22%3E"):  # an unknown id is taken for a name
        assert "No matching jobs." in visitor.get(f"/ops/jobs?q={query}").text
    for path in ("/ops/jobs", f"/ops/jobs/{task_id}"):
        page = visitor.get(path).text
        assert f'href="/ops/jobs?q={first}"' in page
        assert "press 2" in page
    assert f"<code>{second.key.key_id}</code>" in visitor.get(f"/ops/jobs/{task_id}").text


def test_what_others_wrote_is_shown_as_text(visitor: Visitor, service: Service) -> None:
    name = "<script>alert(1)</script>\"'{{7*7}}"
    token = service.api_keys.create(name=name, role="client").token
    other = TestClient(visitor._client.app, headers={"X-API-Key": token})
    task_id = post(other)
    for path in ("/ops/jobs", f"/ops/jobs/{task_id}", f"/ops/jobs?q={name}", f"/ops/x{name}"):
        page = visitor.get(path).text
        assert "<script>alert" not in page
        assert "49" not in re.findall(r"&#34;&#39;(.{0,9})", page)
    assert "&lt;script&gt;alert(1)" in visitor.get(f"/ops/jobs/{task_id}").text
    spoofed = visitor.get("/ops/jobs?done=requeued&count=<b>").text
    assert "Dead letters requeued: 0." in spoofed


def test_a_job_shows_its_chunks_symbols_and_bundle(
    visitor: Visitor, client: TestClient, worker: dramatiq.Worker
) -> None:
    assert worker.worker_threads
    task_id = post(client, format="svg")
    await_state(client, task_id, "completed")
    page = visitor.get(f"/ops/jobs/{task_id}").text
    assert page.count('class="chunk staged"') == 3
    assert re.search(r"<td>21\u201325</td>.*?<td class=\"n\">1</td><td class=\"n\">\d", page)
    assert "https://id.gs1.org/01/09506000134352/10/L0" in page
    assert "<code>(01)09506000134352(10)L0" in page
    assert "00001_L0" in page
    image = visitor.get(f"/ops/jobs/{task_id}/symbols/1")
    assert image.headers["content-type"] == "image/svg+xml"
    assert "script-src" not in image.headers["content-security-policy"]
    assert "default-src 'none'" in image.headers["content-security-policy"]
    assert image.content.startswith(b"<svg") or image.content.startswith(b"<?xml")
    assert visitor.get(f"/ops/jobs/{task_id}/symbols/7").status_code == 404
    assert visitor.get(f"/ops/jobs/{task_id}/symbols/x").status_code == 404
    location = visitor.get(f"/ops/jobs/{task_id}/download").headers["location"]
    assert "X-Amz-Signature" in location
    assert "X-Amz" not in page


def test_a_job_and_the_list_show_format_and_size_in_plain_words(
    visitor: Visitor, client: TestClient
) -> None:
    for fields, listed, more in (
        ({}, "PNG, 400 px", ""),
        ({"dpi": 600, "size": 300}, "PNG, 300 px, 600 dpi", ""),
        ({"xdim_mm": 0.5}, "PNG, X-dimension 0.5 mm, 300 dpi", ""),
        ({"xdim_mm": 1, "dpi": 203}, "PNG, X-dimension 1 mm, 203 dpi", ""),
        ({"format": "svg"}, "SVG, X-dimension 0.495 mm", ""),
        ({"format": "pdf"}, "PDF, X-dimension 0.495 mm", ""),
        (
            {"format": "eps", "xdim_mm": 0.333333, "version": 7, "datamerge": True},
            "EPS, X-dimension 0.333333 mm",
            ", version 7 or higher, with datamerge.csv",
        ),
        (
            {"format": "pdf", "pages": "single"},
            "PDF, X-dimension 0.495 mm",
            ", one file with a page per symbol",
        ),
    ):
        task_id = post(client, items=2, **fields)
        (row,) = re.findall(
            rf'id="job-{task_id}">.*?<td>([^<]*)</td>\s*</tr>',
            visitor.get("/ops/jobs").text,
            re.DOTALL,
        )
        assert row == listed
        page = visitor.get(f"/ops/jobs/{task_id}").text
        file = "symbols.pdf, page 1" if "pages" in fields else f"00001_L0.{listed[:3].lower()}"
        assert f"<code>(01)0{GTIN}(10)L0</code><br>{file}<br>" in page
        assert f"<dt>Format</dt><dd>{listed}{more}</dd>" in page


def test_a_job_of_release_0_2_0_shows_what_it_has(visitor: Visitor, ledger: Ledger) -> None:
    enter_jobs(ledger, 1)
    page = visitor.get("/ops/jobs").text
    assert "<td>SVG</td>" in page


@pytest.mark.parametrize("fields", [{"format": "svg"}, {"xdim_mm": 0.5}, {"format": "png"}])
def test_the_first_symbols_are_those_of_the_bundle(
    visitor: Visitor,
    client: TestClient,
    bucket: Bucket,
    worker: dramatiq.Worker,
    fields: dict[str, object],
) -> None:
    assert worker.worker_threads
    task_id = post(client, items=2, version=7, **fields)
    await_state(client, task_id, "completed")
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        images = [bundle.read(name) for name in bundle.namelist() if name.startswith("0000")]
    path = f"/ops/jobs/{task_id}/symbols"
    assert [visitor.get(f"{path}/{number}").content for number in (1, 2)] == images


@pytest.mark.parametrize("image_format", ["pdf", "eps"])
def test_the_first_symbols_are_shown_in_a_format_that_browsers_show(
    visitor: Visitor, client: TestClient, image_format: str
) -> None:
    task_id = post(client, format=image_format, xdim_mm=0.5, version=5)
    page = visitor.get(f"/ops/jobs/{task_id}").text
    assert page.count("<figure>") == 6
    for number in range(1, 7):
        image = visitor.get(f"/ops/jobs/{task_id}/symbols/{number}")
        assert image.headers["content-type"] == "image/svg+xml"
        assert image.text.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="22.5mm"')
        uri = read_svg(image.content)
        assert uri == f"https://id.gs1.org/01/0{GTIN}/10/L{number - 1}"
        assert f"<code>{uri}</code>" in page


def test_a_failed_job_shows_each_chunks_error_and_is_run_again(
    visitor: Visitor, client: TestClient, bucket: Bucket, failed: tuple[str, bytes]
) -> None:
    task_id, request = failed
    path = f"/ops/jobs/{task_id}"
    page = visitor.get(path).text
    assert page.count("<strong>object_missing</strong>") == 4
    assert page.count("failed after 4 tries: ") == 4
    assert "no longer in the object store" in page
    assert visitor.get(f"{path}/download").status_code == 409
    assert visitor.get(f"{path}/symbols/1").status_code == 404
    head, end, items = request.partition(b"\n")
    bucket.put(keys.request_object(task_id), head + end + b"?" * len(items))
    assert "The request in the object store is damaged" in visitor.get(path).text
    assert visitor.get(f"{path}/symbols/1").status_code == 500
    bucket.put(keys.request_object(task_id), request, "application/json")
    answer = visitor.change(f"{path}/retry")
    assert answer.headers["location"] == f"{path}?done=retried"
    await_state(client, task_id, "completed")
    assert visitor.change(f"{path}/retry").status_code == 409
    assert visitor.change(f"{path}/cancel").status_code == 409
    assert visitor.change(f"/ops/jobs/{uuid.uuid4()}/retry").status_code == 404
    assert visitor.change("/ops/jobs/nonsense/retry").status_code == 422


def test_dead_letters_tell_why_and_put_back_they_complete_the_job(
    visitor: Visitor,
    client: TestClient,
    bucket: Bucket,
    failed: tuple[str, bytes],
    connection: redis.Redis,
) -> None:
    task_id, request = failed
    page = visitor.get("/ops/dead-letters").text
    assert page.count("ObjectMissingError") >= 3
    assert page.count('aria-label="Traceback">Traceback (most recent call last)') == 3
    assert "<strong>object_missing</strong>" in page
    letters = re.findall(r'name="letter" value="([^"]+)"', page)
    assert len(letters) == 3
    bucket.put(keys.request_object(task_id), request, "application/json")
    answer = visitor.change("/ops/dead-letters/requeue", *[("letter", it) for it in letters])
    assert answer.headers["location"] == "/ops/dead-letters?done=requeued&count=3"
    await_state(client, task_id, "completed")
    assert dead_letters(connection) == []
    again = visitor.change("/ops/dead-letters/requeue", *[("letter", it) for it in letters])
    assert again.headers["location"].endswith("count=0")
    assert "No dead letters. Every message" in visitor.get("/ops/dead-letters").text


def test_discarded_letters_are_gone_and_their_job_can_be_re_run(
    visitor: Visitor,
    client: TestClient,
    bucket: Bucket,
    failed: tuple[str, bytes],
    connection: redis.Redis,
) -> None:
    task_id, request = failed
    letters = [("letter", f"render:{name}") for name in dead_letters(connection)]
    answer = visitor.change("/ops/dead-letters/discard", *letters, ("letter", "render:nobody"))
    assert answer.headers["location"].endswith("count=3")
    assert not connection.exists(
        ledger_keys.dead_letters("render"), ledger_keys.dead_messages("render")
    )
    assert state_of(client, task_id) == "failed"
    bucket.put(keys.request_object(task_id), request, "application/json")
    visitor.change(f"/ops/jobs/{task_id}/retry")
    await_state(client, task_id, "completed")


def test_a_wrong_choice_of_letters_is_refused(visitor: Visitor) -> None:
    for chosen in ([], [("letter", "nowhere:1")], [("letter", "")]):
        assert visitor.change("/ops/dead-letters/requeue", *chosen).status_code == 422


@pytest.mark.usefixtures("settings")
def test_a_letter_is_put_back_once_and_one_that_cannot_be_read_stays(
    connection: redis.Redis,
) -> None:
    letters = DeadLetters(RedisQueues(connection), Ledger(connection))
    connection.zadd(ledger_keys.dead_letters("render"), {"1": 1, "2": 2, "3": 3})
    message: dramatiq.Message[None] = dramatiq.Message(
        "render", "render_chunk", (str(uuid.uuid4()), 0), {}, {"retries": 4}
    )
    connection.hset(ledger_keys.dead_messages("render"), "1", message.encode().decode())
    connection.hset(ledger_keys.dead_messages("render"), "2", "not a message")
    connection.hset(ledger_keys.dead_messages("render"), "3", '{"actor_name": "render_chunk"}')
    (text,) = [row.message for row in letters.newest("render", 9) if row.letter_id == "2"]
    assert text == "not a message"
    assert [letters.requeue("render", ["1", "2", "3", "4"]) for _ in range(2)] == [1, 0]
    assert connection.lrange(ledger_keys.queue("render"), 0, -1) == ["1"]
    (kept,) = connection.hvals(ledger_keys.messages("render"))
    queued: dramatiq.Message[None] = dramatiq.Message.decode(str(kept).encode())
    assert queued.options == {"retries": 0}
    assert queued.args == message.args
    assert dead_letters(connection) == ["2", "3"]
