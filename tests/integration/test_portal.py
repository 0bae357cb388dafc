"""The portal for clients: who gets in, what its forms do, and what other tenants see."""

import html
import io
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote

import falcon
import msgspec
import openpyxl
import pytest
from falcon.testing import Result

from api.app import create_app
from api.console.areas import CONSOLE, PORTAL
from api.console.pages import StaticFile
from api.console.sessions import ConsoleResource, RequiresSession
from api.http.parameters import encode_cursor
from pipeline.service import ApiKey, JobFilter, Position, Service, Settings
from tests.integration.console_visitor import Visitor, checked_fields

App = falcon.App[falcon.Request, falcon.Response]
GTIN = "9506000134352"
ROWS = "lot,serial\nLOT-7,A1\nLOT-7,A2\n"
UNKNOWN = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"


@pytest.fixture
def app(service: Service, settings: Settings) -> App:
    return create_app(service, settings)


class Client(NamedTuple):
    """A visitor who signed in with a key."""

    visitor: Visitor
    key: ApiKey
    token: str


Join = Callable[..., Client]


@pytest.fixture
def join(app: App, service: Service) -> Join:
    def join(name: str = "Print shop", **fields: Any) -> Client:  # noqa: ANN401 - as of create
        new = service.api_keys.create(
            **{"name": name, "role": "client", "per_minute": 100_000, **fields}
        )
        visitor = Visitor(app, area="/jobs" if new.key.role == "client" else "/ops")
        assert visitor.sign_in(new.token).status_code == 303
        return Client(visitor, new.key, new.token)

    return join


def count_jobs(service: Service, key: ApiKey) -> int:
    return len(service.jobs.list(JobFilter(tenant=key.tenant, fields={}), key, 100, None).jobs)


def task_of(created: Result) -> str:
    assert created.status_code == 303, created.text
    found = re.fullmatch(r"/jobs/([0-9a-f-]{36})\?done=created", created.headers["location"])
    assert found
    return found[1]


def routes(app: App, area: str) -> dict[str, Any]:
    def found(nodes: list[Any]) -> dict[str, Any]:
        below = {node.uri_template: node.resource for node in nodes if node.resource}
        for node in nodes:
            below |= found(node.children)
        return below

    resources = found(app._router._roots)
    return {path: each for path, each in resources.items() if f"{path}/".startswith(f"{area}/")}


def test_every_page_of_an_area_needs_a_session_of_that_area(app: App) -> None:
    for area in (CONSOLE, PORTAL):
        found = routes(app, area.path)
        assert len(found) > 10
        free = {path for path, each in found.items() if not isinstance(each, RequiresSession)}
        assert free == {f"{area.path}/sign-in", f"{area.path}/static/{{name}}"}
        for path, resource in found.items():
            if not isinstance(resource, StaticFile):
                assert isinstance(resource, ConsoleResource)
                assert resource.pages.area is area, path
    assert {each.pages.area for each in routes(app, "/dramatiq").values()} == {CONSOLE}


def test_a_session_is_good_in_its_own_area_alone(
    app: App, service: Service, join: Join, operator_token: str, token: str
) -> None:
    stranger = Visitor(app, area="/jobs")
    assert stranger.get("/jobs/").headers["location"] == "/jobs/sign-in?next=%2Fjobs"
    refused = stranger.sign_in(operator_token)
    assert (refused.status_code, "qrmill_portal_session" in refused.cookies) == (403, False)
    assert "/ops/" in refused.text
    assert [stranger.sign_in(each).status_code for each in ("", "x", token[:-1])] == [401] * 3
    cookie = stranger.sign_in(token).cookies["qrmill_portal_session"]
    assert (cookie.path, cookie.http_only, cookie.same_site) == ("/jobs", True, "Strict")
    key_id = service.sessions.find("portal", cookie.value)
    assert key_id is not None
    assert service.sessions.find("session", cookie.value) is None
    operator = join("boss", role="operator").visitor
    names = ("qrmill_session", "qrmill_portal_session")
    own = {"/ops": operator.cookies[names[0]], "/jobs": cookie.value}
    for area, pages in (("/ops", ("/ops/", "/ops/new", "/dramatiq/")), ("/jobs", ("/jobs/new",))):
        for other, session in own.items():
            visitor = Visitor(app)
            visitor.cookies = dict.fromkeys(names, session)
            expected = {200, 404} if other == area else {303}  # 404: no dashboard is installed
            assert {visitor.get(page).status_code for page in pages} <= expected, (area, other)
    # A key that is an operator's by now has no business in the portal, nor the other way round.
    key = service.api_keys.find(key_id)
    service.api_keys._stored.write(msgspec.structs.replace(key, role="operator"))
    assert stranger.get("/jobs/").status_code == 303


def test_the_cookie_over_tls_is_that_of_this_host_alone(app: App, token: str) -> None:
    visitor = Visitor(app, area="/jobs")
    form = [("form_token", visitor.token("/jobs/sign-in", protocol="https")), ("key", token)]
    response = visitor.post("/jobs/sign-in", form, protocol="https")
    (cookie,) = response.cookies.values()
    assert (cookie.name, cookie.path) == ("__Host-qrmill_portal_session", "/")
    assert (cookie.secure, cookie.http_only, str(cookie.domain)) == (True, True, "None")
    assert visitor.get("/jobs/", protocol="https").status_code == 200
    assert visitor.get("/jobs/").status_code == 303


def test_expiry_and_revocation_end_a_session_at_the_next_request(
    service: Service, join: Join
) -> None:
    expiring, revoked = join(), join()
    service.api_keys.rotate(expiring.key.key_id, 0)
    service.api_keys.revoke(revoked.key.key_id)
    for client in (expiring, revoked):
        assert client.visitor.get("/jobs/").status_code == 303
        response = client.visitor.post("/jobs/new", [])
        assert response.status_code == 401
        assert "<h1>" in response.text


def test_a_sign_in_leads_to_a_page_of_the_portal_and_nowhere_else(app: App, token: str) -> None:
    for path in ("/jobs/new", "/jobs?state=failed", "/jobs/", f"/jobs/{UNKNOWN}"):
        assert PORTAL.local_path(path, "") == path
    hostile = ["", "/ops/", "/opsx", "//evil.example/jobs/", "https://evil.example/jobs/", "/jobsx"]
    hostile += ["/jobs/../ops/", "/jobs/%2e%2E/ops/", "/jobs/.%2e/ops/", "/jobs/x/../../ops/"]
    hostile += ["/jobs/\\..\\ops", "/jobs/\n//evil", "/dramatiq/", "/jobs/./", "javascript:alert()"]
    for path in hostile:
        assert PORTAL.local_path(path, "") == "/jobs/", path
        visitor = Visitor(app, area="/jobs")
        form = [("form_token", visitor.token(f"/jobs/sign-in?next={quote(path)}"))]
        fields = [*form, ("key", token), ("next", path)]
        assert visitor.post("/jobs/sign-in", fields).headers["location"] == "/jobs/", path


def test_nothing_of_a_task_is_visible_to_another_tenant(
    app: App, service: Service, join: Join
) -> None:
    owner, other = join("owner"), join("other")
    same = join("press 2", tenant=owner.key.key_id)
    task_id = task_of(owner.visitor.create(ROWS))
    own_id = task_of(other.visitor.create("serial\nB1\n"))
    assert same.visitor.get(f"/jobs/{task_id}").status_code == 200

    def sent(visitor: Visitor, template: str, task: str, method: str) -> tuple[int, str, str]:
        path = template.replace("{task_id}", task).replace("{number:int}", "1")
        path = path.replace("{rest:path}", "a/b")
        response = visitor.change(path) if method == "POST" else visitor._sent(method, path)
        text = re.sub(r'name="form_token" value="[^"]+"', "", response.text).replace(task, "TASK")
        text = re.sub(r"<code>[0-9a-f-]{36}</code>", "", text)
        headers = {k: v for k, v in response.headers.items() if "ratelimit" not in k.lower()}
        headers.pop("x-request-id", None)
        return response.status_code, text, str(sorted(headers.items()))

    templates = [path for path in routes(app, "/jobs") if "{task_id}" in path]
    assert len(templates) == 6
    for template in templates:
        for method in ("GET", "HEAD", "POST"):
            foreign = sent(other.visitor, template, task_id, method)
            assert foreign == sent(other.visitor, template, UNKNOWN, method), (template, method)
            assert foreign[0] in {404, 405}, (template, method, foreign)
    position = Position(2**40, task_id)
    for query in (
        "",
        f"q={owner.key.key_id}",
        "q=owner",
        f"q={GTIN}",
        "state=pending",
        f"cursor={quote(encode_cursor(position))}",
        f"q={other.key.key_id}&cursor={quote(encode_cursor(position))}",
    ):
        text = other.visitor.get(f"/jobs/?{query}").text
        assert task_id not in text, query
        assert owner.key.key_id not in text.replace(query, "").replace(
            f'value="{owner.key.key_id}"', ""
        ).replace(f"q={owner.key.key_id}", ""), query
    # Whether another tenant's key exists makes no difference.
    texts = [other.visitor.get(f"/jobs/?q={q}").text for q in (owner.key.key_id, "0" * 12)]
    assert len({own_id in text for text in texts}) == 1
    assert own_id in other.visitor.get("/jobs/").text
    assert task_id in same.visitor.get("/jobs/").text
    assert count_jobs(service, owner.key) == 1


HOSTILE_IDS = ("x", "..", "%2e%2e", "%00", "a" * 5000, "'\"><script>", "\u202e", "{task_id}", "*")
HOSTILE_CURSORS = ("x", "AAAA", "-1", "%00", "a" * 5000, "MS4=", "\u202e", "<script>", "[]")


def test_hostile_ids_and_cursors_get_an_error_page(join: Join) -> None:
    visitor = join().visitor
    paths = [f"/jobs/{quote(each, safe='%')}" for each in HOSTILE_IDS]
    paths += [f"{path}/download" for path in paths] + [f"{path}/symbols/1" for path in paths]
    paths += [f"/jobs?cursor={quote(each, safe='%')}" for each in HOSTILE_CURSORS]
    paths += [f"/jobs?state={quote(each, safe='%')}" for each in HOSTILE_CURSORS]
    paths += [f"/jobs?q={quote(each, safe='%')}" for each in HOSTILE_IDS]
    for path in paths:
        response = visitor.get(path)
        assert response.status_code in {200, 303, 404, 422}, path
        assert "<script>" not in response.text, path
        assert "\u202e" not in response.text or "?q=" in path, path
        assert "Traceback" not in response.text


HOSTILE_CELLS = (
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "a\x00b",
    "a\x1b[31mb",
    "\u202eevil\u202c",
    "\u2066isolate",
    "\u200bzero",
    "\ufeffbom",
    "\x85next",
    "\u2028line",
    "\ud7ff\U000e0001tag",
    "é" * 5000,
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def outside_textarea(text: str) -> str:
    return re.sub(r"<textarea.*?</textarea>", "", text, flags=re.DOTALL)


def test_hostile_cells_headings_and_file_names_are_shown_as_text(join: Join) -> None:
    visitor = join().visitor
    for cell in HOSTILE_CELLS:
        quoted = cell.replace('"', '""')
        for rows in (f'lot,serial\n"{quoted}",1\n', f'"{quoted}",serial\nA,1\n', cell):
            for as_file in (False, True):
                name = "x\"; filename*=UTF-8''%2e%2e.csv" if as_file else "a.csv"
                response = visitor.upload(
                    "" if as_file else rows,
                    file=rows.encode() if as_file else None,
                    file_name=name,
                )
                assert response.status_code in {200, 400}, (cell, response.text)
                shown = outside_textarea(response.text)
                assert not _INVISIBLE.search(shown), (cell, rows)
                assert "<script>" not in shown
                assert "<img" not in shown
                assert "49 " not in shown
                assert "default-src 'none'" in response.headers["content-security-policy"]
                if response.status_code == 200 and "\r" not in cell:
                    text = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", response.text, re.DOTALL)
                    assert text
                    assert "<script>" not in text[1]
                    assert html.unescape(text[1]) in {rows, rows.removeprefix("\ufeff"), ""}


@pytest.mark.parametrize(
    "name", ["gtin", "format", "xdim_mm", "dpi", "size", "checked", "submission", "step", "other"]
)
def test_hostile_settings_are_errors_of_the_check(service: Service, join: Join, name: str) -> None:
    client = join()
    for value in (*HOSTILE_CELLS[:-1], "NaN", "1e999", "-1", "0" * 4000, "true"):
        response = client.visitor.upload(ROWS, {name: value})
        assert response.status_code == 200, (value, response.text)
        shown = response.text.replace("value=", "")
        assert "<script>" not in shown
        assert "onerror=alert(1)>" not in shown
    assert client.visitor.upload(ROWS, {name: "x" * 5000}).status_code == 413
    assert count_jobs(service, client.key) == 0


def test_a_form_creates_one_job_however_often_it_is_sent(service: Service, join: Join) -> None:
    client = join()
    visitor = client.visitor
    fields = {**checked_fields(visitor.upload(ROWS)), "step": "create"}
    token = visitor.token()
    fields["form_token"] = token
    with ThreadPoolExecutor(8) as pool:
        responses = [*pool.map(lambda _: visitor.upload(ROWS, fields), range(8))]
    targets = {response.headers["location"] for response in responses}
    assert len(targets - {"/jobs?done=sent-twice"}) == 1
    assert "one job" in visitor.get("/jobs?done=sent-twice").text
    assert count_jobs(service, client.key) == 1
    again = visitor.upload(ROWS.replace("\n", "\r\n"), fields)  # as browsers send the rows
    assert again.headers["location"] in targets
    other = join("other")  # who knows the form has another tenant's Idempotency-Keys
    mine = task_of(other.visitor.upload(ROWS, fields | {"form_token": other.visitor.token()}))
    assert mine not in str(targets)
    assert count_jobs(service, client.key) == 1


def test_what_was_not_checked_creates_no_job(service: Service, join: Join) -> None:
    client = join()
    result = client.visitor.upload(ROWS)
    assert "have changed since they were checked" not in result.text
    fields = checked_fields(result)
    for rows, changed in (
        (ROWS + "LOT-7,A3\n", {}),
        (ROWS, {"gtin": "09506000134369"}),
        (ROWS, {"xdim_mm": "0.6"}),
        (ROWS, {"checked": ""}),
        (ROWS, {"submission": ""}),
        (ROWS, {"submission": "x" * 23}),
    ):
        response = client.visitor.upload(rows, {**fields, "step": "create", **changed})
        assert response.status_code == 200
        assert "have changed since they were checked" in response.text
    assert not checked_fields(client.visitor.upload(ROWS + "LOT-7,Ä\n"))
    assert count_jobs(service, client.key) == 0


def test_a_job_that_is_not_accepted_keeps_its_form(service: Service, join: Join) -> None:
    client = join(items_per_minute=3)
    task_of(client.visitor.create(ROWS))
    fields = checked_fields(client.visitor.upload(ROWS))
    response = client.visitor.upload(ROWS, {**fields, "step": "create"})
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0
    assert "The job was not created." in response.text
    assert checked_fields(response) == fields  # another click repeats the same job
    assert "LOT-7,A2" in response.text
    too_many = client.visitor.create(ROWS + "LOT-7,A3\nLOT-7,A4\n")
    assert too_many.status_code == 422
    assert "Send fewer items" in html.unescape(too_many.text)
    assert count_jobs(service, client.key) == 1


def test_a_form_needs_the_session_that_it_was_issued_for(
    app: App, service: Service, join: Join
) -> None:
    client, other = join(), join()
    visitor = client.visitor
    fields = {**checked_fields(visitor.upload(ROWS)), "step": "create"}
    assert visitor.upload(ROWS, {**fields, "form_token": ""}).status_code == 403
    foreign = {**fields, "form_token": other.visitor.token()}
    assert visitor.upload(ROWS, foreign).status_code == 403
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert visitor.upload(ROWS, fields, headers=cross).status_code == 403
    assert Visitor(app, area="/jobs").post("/jobs/new", []).status_code == 401
    for body, kind, status in (
        (b"{}", "application/json", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"", "multipart/form-data", 400),
        (b"nothing", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="gtin"\r\n\r\n\xff\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n" * 40 + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
        ),
    ):
        response = visitor._sent("POST", "/jobs/new", body=body, headers={"Content-Type": kind})
        assert response.status_code == status, (body, response.text)
        assert "<h1>" in response.text
    assert count_jobs(service, client.key) == 0


def test_uploads_are_bounded(join: Join, settings: Settings) -> None:
    visitor = join().visitor
    limit = settings.body_limit()
    row = b"LOT-7,A0001\n"
    rows = b"lot,serial\n" + row * (limit // len(row) - 1)
    assert visitor.upload(file=rows).status_code == 200
    for response in (
        visitor.upload(file=rows + row * 2),
        visitor.upload(rows + row * 2),
        visitor.upload(b"x" * limit, file=b"x" * (limit + 1)),
        visitor.upload(b"x" * (2 * limit), file=b"x" * limit),
    ):
        assert response.status_code == 413
        assert f"the limit of {limit} bytes" in response.text


def test_requests_of_the_portal_count_against_the_rates_of_the_key(join: Join) -> None:
    client = join(per_minute=4)
    statuses = [client.visitor.get("/jobs/").status_code for _ in range(6)]
    assert statuses == [200] * 4 + [429] * 2
    response = client.visitor.get("/jobs/new")
    assert "4 requests per minute" in response.text
    assert int(response.headers["retry-after"]) > 0
    assert (
        Visitor(client.visitor._client.app, area="/jobs").sign_in(client.token).status_code == 303
    )


def test_files_that_are_not_csv_get_an_error_that_says_which_they_are(join: Join) -> None:
    visitor = join().visitor
    for file, words in (
        (b"PK\x03\x04xl/workbook.xml", "cannot be read as an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an .xls file or has a password"),
        ("lot\nÄ\n".encode("cp1252"), "probably Windows-1252"),
        (b"%PDF-1.7", "a PDF document"),
        (b"", "There are no rows"),
        (b"\n\n ,,\n", "The header is missing"),
        (b'lot\n"A\n', "never closed"),
    ):
        text = html.unescape(visitor.upload(ROWS, file=file).text)
        assert words in text, words
        assert "1 error" in text
        assert "Create job" not in text
    for encoding in ("utf-8-sig", "utf-16"):
        assert "✓ No errors" in visitor.upload(file=ROWS.encode(encoding)).text


def test_a_workbook_is_read_and_each_refused_cell_is_an_error(join: Join) -> None:
    visitor = join().visitor
    assert ".xlsx,.xlsm," in visitor.get("/jobs/new").text  # what the file dialog offers
    text = html.unescape(visitor.upload(file=workbook(["LOT-7", "0012"], ["LOT-7", "0013"])).text)
    assert "✓ No errors" in text
    assert "LOT-7,0012" in text  # for the next form
    text = html.unescape(visitor.upload(file=workbook(["LOT-7", 12], [7.5, "0013"])).text)
    assert "2 errors" in text
    number = "The cell is the number"
    for row, column, reason in ((2, "B", f"{number} 12"), (3, "A", f"{number} 7.5")):
        where = rf'<th scope="row" class="n">{row}</th>\s*<td>{column}</td>'
        assert re.search(rf"{where}\s*<td class=\"text\">{re.escape(reason)}", text)
    text = html.unescape(visitor.upload(file=workbook(*[[n, n] for n in range(80)])).text)
    assert "160 errors" in text
    assert "Errors: 160; the first 100 are listed" in text


def workbook(*rows: Sequence[object]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in [["lot", "serial"], *rows]:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def test_a_list_without_jobs_leads_to_the_first_one(join: Join) -> None:
    visitor = join().visitor
    assert 'No jobs yet. <a href="/jobs/new">Create one</a>' in visitor.get("/jobs/").text
    for query in ("q=other", "state=failed", f"cursor={encode_cursor(Position(1, UNKNOWN))}"):
        assert "No matching jobs." in visitor.get(f"/jobs/?{query}").text
    visitor.create(ROWS)
    assert "No jobs yet" not in visitor.get("/jobs/").text


def test_rows_with_a_wrong_heading_have_no_symbols_and_no_warnings(join: Join) -> None:
    text = join().visitor.upload("Charge,expiry\nA,271231\nB,271231\n").text
    assert "1 error" in text
    assert "0 warnings" in text
    assert "Symbols of valid rows" not in text
    assert "First rows" in text


def test_one_symbol_is_announced_as_one(join: Join) -> None:
    visitor = join().visitor
    assert "<h3>The first symbol, in its size" in visitor.upload("serial\nA1\n").text
    assert "<h3>The first 2 symbols, in their size" in visitor.upload("serial\nA1\nA2\n").text


def test_the_template_passes_the_check(join: Join) -> None:
    visitor = join().visitor
    template = visitor.get("/jobs/template.csv")
    assert 'filename="labels.csv"' in template.headers["content-disposition"]
    response = visitor.upload(file=template.content)
    assert "✓ No errors" in response.text
    assert "0 warnings" in response.text
    assert "2 rows" in response.text


def test_what_is_typed_into_the_workbook_to_fill_in_is_text(join: Join) -> None:
    visitor = join().visitor
    assert 'href="/jobs/template.xlsx"' in visitor.get("/jobs/new").text
    template = visitor.get("/jobs/template.xlsx")
    assert 'filename="labels.xlsx"' in template.headers["content-disposition"]
    response = visitor.upload(file=template.content)
    assert "✓ No errors" in response.text
    assert "2 rows" in response.text
    book = openpyxl.load_workbook(io.BytesIO(template.content))
    sheet = book.active
    assert {cell.number_format for row in sheet.iter_rows() for cell in row} == {"@"}
    # A cell that is typed into gets the format of its column.
    assert {sheet.column_dimensions[column].number_format for column in "ABCZ"} == {"@"}


def test_without_the_extra_there_is_no_workbook_to_fill_in(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = join().visitor
    monkeypatch.setattr("api.console.row_templates.find_spec", lambda _: None)
    assert visitor.get("/jobs/template.xlsx").status_code == 404
    monkeypatch.setattr("api.console.new_job.has_workbooks", lambda: False)
    assert "template.xlsx" not in visitor.get("/jobs/new").text


def test_sizes_of_symbols_are_those_of_the_files(join: Join) -> None:
    visitor = join().visitor
    for fields, words in (
        ({"format": "pdf", "xdim_mm": "0,5"}, 'width="18.5mm"'),
        ({"format": "eps"}, 'width="18.315mm"'),
        ({"format": "png", "xdim_mm": "0.5", "dpi": "300"}, "18.8 mm (222 px)"),
        ({"format": "png", "xdim_mm": "0.5", "dpi": "300"}, 'width="18.79'),
        ({"format": "png", "size": "370", "dpi": "254"}, 'width="37mm"'),
        ({"format": "png", "size": "300"}, "300 px, without a size in mm"),
        ({"format": "png", "size": "300"}, '<svg xmlns="http://www.w3.org/2000/svg" width="300"'),
    ):
        assert words in visitor.upload(ROWS, fields).text, (fields, words)


def test_an_operator_creates_a_job_in_the_console(service: Service, join: Join) -> None:
    operator = join("boss", role="operator")
    created = operator.visitor.create(ROWS)
    assert created.headers["location"].startswith("/ops/jobs/")
    page = operator.visitor.get(created.headers["location"])
    assert page.status_code == 200
    assert count_jobs(service, operator.key) == 1
    # Only operators see chunks.
    assert 'id="chunks"' in page.text
    visitor = join().visitor
    mine = visitor.get(visitor.create(ROWS).headers["location"])
    assert mine.status_code == 200
    assert 'id="chunks"' not in mine.text


def test_the_portal_lies_below_the_prefix(service: Service, settings: Settings, token: str) -> None:
    prefixed = msgspec.structs.replace(settings, api_prefix="/products/api/v1")
    visitor = Visitor(create_app(service, prefixed), "/products/api/v1", "/jobs")
    assert visitor.sign_in(token).headers["location"] == "/products/api/v1/jobs/"
    created = visitor.create(ROWS)
    path = created.headers["location"].removeprefix("/products/api/v1")
    assert visitor.get(path).status_code == 200
    links = re.findall(r'(?:href|src|action)="([^"]+)"', visitor.get("/jobs/new").text)
    assert {link for link in links if not link.startswith("/products/api/v1/jobs")} == {"#main"}
