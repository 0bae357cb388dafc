"""Who gets into the console and the dashboard: nobody without an operator's session."""

from importlib.util import find_spec
from secrets import token_urlsafe
from typing import Any

import falcon
import msgspec
import pytest
import redis
from falcon.testing import TestClient
from itsdangerous import URLSafeTimedSerializer

from api.app import create_app, get_app
from api.console.areas import CONSOLE
from api.console.sessions import RequiresSession
from deploy.embedded.ports import free_port
from pipeline.auth.stored_keys import _FRESH
from pipeline.ledger import keys
from pipeline.service import Service, Settings, open_service
from tests.integration.console_visitor import Visitor

PAGES = ("/ops/", "/ops/jobs", "/ops/dead-letters", "/dramatiq/", "/dramatiq/queues/render")
App = falcon.App[falcon.Request, falcon.Response]


@pytest.fixture
def app(service: Service, settings: Settings) -> App:
    return create_app(service, settings)


@pytest.fixture
def stranger(app: App) -> Visitor:
    return Visitor(app)


@pytest.fixture
def visitor(stranger: Visitor, operator_token: str) -> Visitor:
    assert stranger.sign_in(operator_token).status_code == 303
    return stranger


def test_an_operators_key_opens_a_session_and_a_sign_out_ends_it_for_good(
    stranger: Visitor, operator_token: str
) -> None:
    assert stranger.get("/ops/").headers["location"] == "/ops/sign-in?next=%2Fops"
    headers = stranger.get("/ops/sign-in").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    answer = stranger.sign_in(operator_token)
    cookie = answer.cookies["qrmill_session"]
    assert (cookie.http_only, cookie.same_site, cookie.path) == (True, "Strict", "/")
    assert not cookie.secure
    assert operator_token not in str(answer.headers)
    assert all(stranger.get(page).status_code in {200, 404} for page in PAGES)
    kept = dict(stranger.cookies)
    assert stranger.change("/ops/sign-out").headers["location"] == "/ops/sign-in"
    stranger.cookies = kept  # whoever copied the cookie has nothing
    assert stranger.get("/ops/").status_code == 303


def test_wrong_keys_and_clients_keys_are_refused(
    stranger: Visitor, token: str, operator_token: str
) -> None:
    mistyped = operator_token[:-1] + ("0" if operator_token[-1] != "0" else "1")
    for key, status in (("", 401), ("x", 401), (mistyped, 401), (token, 403)):
        answer = stranger.sign_in(key)
        assert answer.status_code == status
        assert "qrmill_session" not in answer.cookies
        assert 'role="alert"' in answer.text


def test_wrong_attempts_are_limited_and_the_right_key_always_signs_in(
    stranger: Visitor, operator_token: str
) -> None:
    def attempt(key: str, address: str) -> int:
        return stranger.sign_in(key, headers={"X-Forwarded-For": f"1.1.1.1, {address}"}).status_code

    one = [attempt("wrong", "198.51.100.7") for _ in range(11)]
    assert one == [401] * 10 + [429]
    assert attempt(operator_token, "198.51.100.7") == 303
    assert attempt("wrong", "198.51.100.7") == 429  # the right key has not reset it
    assert attempt("wrong", "198.51.100.8") == 401
    many = [attempt("wrong", f"203.0.113.{place // 9}") for place in range(95)]
    assert 429 in many
    assert attempt("wrong", "198.51.100.9") == 429
    assert attempt(operator_token, "198.51.100.9") == 303


def test_right_keys_do_not_count(stranger: Visitor, operator_token: str) -> None:
    assert [stranger.sign_in(operator_token).status_code for _ in range(15)] == [303] * 15
    assert [stranger.sign_in("wrong").status_code for _ in range(11)] == [401] * 10 + [429]


def test_a_site_with_many_ipv6_addresses_counts_as_one(
    stranger: Visitor, operator_token: str
) -> None:
    def attempt(key: str, address: str) -> int:
        return stranger.sign_in(key, headers={"X-Forwarded-For": address}).status_code

    site = [attempt("wrong", f"2001:db8:1:2:{place:x}::{place:x}") for place in range(100)]
    assert site == [401] * 10 + [429] * 90
    assert attempt("wrong", "[2001:db8:1:2:ffff::1]:50000") == 429
    assert attempt("wrong", "2001:db8:1:3::1") == 401
    assert attempt(operator_token, "2001:db8:1:2::1") == 303
    mapped = [attempt("wrong", address) for address in ["198.51.100.1", "::ffff:198.51.100.1"] * 6]
    assert mapped == [401] * 10 + [429] * 2


def test_behind_a_proxy_that_is_not_trusted_operators_sign_in_and_the_log_says_so(
    stranger: Visitor, operator_token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def attempt(key: str, client: str) -> int:
        return stranger.sign_in(
            key, headers={"X-Forwarded-For": client}, remote_addr="10.9.8.7"
        ).status_code

    wrong = [attempt("wrong", f"198.51.100.{place}") for place in range(12)]
    assert wrong == [401] * 10 + [429] * 2
    assert attempt(operator_token, "198.51.100.99") == 303
    lines = [line for line in capsys.readouterr().out.splitlines() if "headers ignored" in line]
    assert len(lines) == 1
    assert "10.9.8.7" in lines[0]


@pytest.mark.usefixtures("service")
def test_attempts_count_for_the_clients_of_the_proxies_that_the_environment_names(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.244.0.0/16")
    monkeypatch.setattr("api.app.read_settings", lambda: settings)
    monkeypatch.setattr("api.app.configure_logging", lambda _: None)
    app = get_app()
    stranger = Visitor(app)

    def attempts(proxy: str) -> set[int]:
        clients = [{"X-Forwarded-For": f"198.51.100.{place}"} for place in range(11)]
        return {
            stranger.sign_in("wrong", headers=client, remote_addr=proxy).status_code
            for client in clients
        }

    assert attempts("10.244.1.7") == {401}
    assert attempts("127.0.0.1") == {401, 429}
    app.service.jobs.stop_waiting()


def test_a_revoked_key_ends_its_sessions_within_ten_seconds(
    visitor: Visitor, service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Visitor(create_app(service, settings))
    elsewhere.cookies = visitor.cookies
    (key,) = service.api_keys.list()
    assert elsewhere.get("/ops/").status_code == 200
    remembered = dict(service.api_keys._stored._remembered)
    service.api_keys.revoke(key.key_id)
    assert visitor.get("/ops/").status_code == 303
    service.api_keys._stored._remembered.update(remembered)  # as another process remembers it
    assert elsewhere.get("/ops/").status_code == 200
    assert _FRESH <= 10
    monkeypatch.setattr("pipeline.auth.stored_keys._FRESH", 0)
    assert elsewhere.get("/ops/").status_code == 303


def test_an_expired_key_ends_its_sessions_and_opens_none(
    visitor: Visitor, service: Service, operator_token: str
) -> None:
    (key,) = service.api_keys.list()
    service.api_keys.rotate(key.key_id, 1)
    assert visitor.get("/ops/").status_code == 200
    new, _ = service.api_keys.rotate(key.key_id, 0)
    assert visitor.get("/ops/").status_code == 303
    assert visitor.sign_in(operator_token).status_code == 401
    assert visitor.sign_in(new.token).status_code == 303


def test_a_redis_that_lost_everything_asks_to_sign_in_again(
    visitor: Visitor, redis_url: str, operator_token: str
) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        (kept,) = connection.keys(keys.session("session", "*"))
        assert visitor.cookies["qrmill_session"] not in kept  # its hash is
        connection.flushall()
    assert visitor.get("/ops/").status_code == 303
    assert visitor.sign_in(operator_token).status_code == 303
    assert visitor.get("/ops/").status_code == 200


PATHS = (
    "/opsx",
    "/OPS/",
    "/ops;x/",
    "/ops/../ops",
    "/ops/..%2f",
    "/ops/..%2fkeys",
    "/ops%2f",
    "//ops/",
    "/ops//",
    "/ops/%2e%2e/qr/bulk",
    "/ops/.",
    "/ops/jobs/../..",
    "/ops/nothing",
    "/ops/static/..%2f..%2fapp.py",
    "/ops/static/app.py",
    "/%6fps/",
    "/ops\\",
    "/ops/\x00",
    "/dramatiqx",
    "/DRAMATIQ/",
    "//dramatiq/",
    "/dramatiq",
    "/dramatiq;x",
    "/dramatiq//",
    "/dramatiq/..%2fops",
    "/dramatiq/%2e%2e/dramatiq/",
    "/dramatiq/queues/render/failed",
    "/%64ramatiq/",
    "/dramatiq/requeue-message",
    "/ops/../dramatiq/",
    "/./dramatiq/",
)


def test_no_way_of_writing_a_path_leads_in(app: App) -> None:
    stranger = TestClient(app)
    for path in PATHS:
        for method in ("GET", "POST", "HEAD", "PUT", "DELETE"):
            answer = stranger.simulate_request(method, path)
            assert answer.status_code in {303, 401, 403, 404, 405}, (method, path, answer.text)
            assert "Dramatiq Dashboard" not in answer.text
            assert "Backlog" not in answer.text
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/ops/sign-in?next=%2F")


def test_every_resource_of_the_console_is_guarded_but_the_sign_in_and_its_files(app: App) -> None:
    def resources(nodes: list[Any]) -> list[tuple[str, object]]:
        found = []
        for node in nodes:
            found += [(node.uri_template, node.resource)] if node.resource else []
            found += resources(node.children)
        return found

    below = [
        (path, resource)
        for path, resource in resources(app._router._roots)
        if path.startswith(("/ops", "/dramatiq"))
    ]
    assert len(below) == 19
    free = {path for path, resource in below if not isinstance(resource, RequiresSession)}
    assert free == {"/ops/sign-in", "/ops/static/{name}"}


def test_a_change_needs_a_form_of_its_session_and_every_form_is_good_once(
    visitor: Visitor, app: App, operator_token: str
) -> None:
    other = Visitor(app)
    other.sign_in(operator_token)
    path = "/ops/dead-letters/discard"
    letter = ("letter", "render:nobody")
    token = visitor.token()
    assert visitor.post(path, [letter]).status_code == 403
    assert visitor.post(path, [letter, ("form_token", token[:-1])]).status_code == 403
    assert visitor.post(path, [letter, ("form_token", other.token())]).status_code == 403
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    answer = visitor.post(path, [letter, ("form_token", token)], headers=elsewhere)
    assert answer.status_code == 403
    assert visitor.post(path, [letter, ("form_token", token)]).status_code == 303
    again = visitor.post(path, [letter, ("form_token", token)])
    assert again.status_code == 409
    assert "already sent" in again.text


def test_a_sign_in_form_is_bound_to_its_browser_and_good_once(
    stranger: Visitor, app: App, operator_token: str
) -> None:
    def fields(token: str) -> list[tuple[str, str]]:
        return [("form_token", token), ("key", operator_token)]

    token = stranger.token("/ops/sign-in")
    assert Visitor(app).post("/ops/sign-in", fields(token)).status_code == 403  # no cookie
    another = Visitor(app)
    another.get("/ops/sign-in")
    assert another.post("/ops/sign-in", fields(token)).status_code == 403
    assert stranger.post("/ops/sign-in", fields(token)).status_code == 303
    assert stranger.post("/ops/sign-in", fields(token)).status_code == 409


def test_forms_that_a_visitor_signs_count_as_attempts_and_leave_nothing(
    stranger: Visitor, redis_url: str
) -> None:
    stranger.cookies["qrmill_visit"] = "chosen"
    sign = URLSafeTimedSerializer("chosen", salt="qrmill.console.form").dumps

    def attempt(nonce: str) -> int:
        return stranger.post(
            "/ops/sign-in", [("form_token", sign(nonce)), ("key", "x")]
        ).status_code

    assert [attempt("n" * 40) for _ in range(3)] == [403] * 3  # no key was tried
    signed = [attempt(token_urlsafe(12)) for _ in range(12)]
    assert signed == [401] * 10 + [429] * 2
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.keys(keys.sent_form("*")) == []


def test_over_tls_cookies_are_those_of_this_host_alone(
    stranger: Visitor, service: Service, settings: Settings, operator_token: str
) -> None:
    def sign_in(visitor: Visitor) -> Any:  # noqa: ANN401 - a cookie
        form = [("form_token", visitor.token("/ops/sign-in", protocol="https"))]
        fields = [*form, ("key", operator_token)]
        answer = visitor.post("/ops/sign-in", fields, protocol="https")
        assert answer.status_code == 303
        (cookie,) = answer.cookies.values()
        return cookie

    cookie = sign_in(stranger)
    assert cookie.name == "__Host-qrmill_session"
    assert (cookie.secure, cookie.path, cookie.domain) == (True, "/", None)
    assert (cookie.http_only, cookie.same_site) == (True, "Strict")
    assert "__Host-qrmill_visit" in stranger.cookies
    assert stranger.get("/ops/", protocol="https").status_code == 200
    assert stranger.get("/ops/").status_code == 303  # it is not for pages without TLS
    # A cookie that another host of the domain can set has no effect over TLS.
    stranger.cookies = {"qrmill_session": stranger.cookies["__Host-qrmill_session"]}
    assert stranger.get("/ops/", protocol="https").status_code == 303
    prefixed = msgspec.structs.replace(settings, api_prefix="/products/api/v1")
    below = Visitor(create_app(service, prefixed), "/products/api/v1")
    cookie = sign_in(below)
    assert (cookie.name, cookie.path) == ("__Host-qrmill_session.products.api.v1", "/")
    assert below.get("/ops/", protocol="https").status_code == 200


def test_what_is_no_form_is_refused(visitor: Visitor) -> None:
    form = "application/x-www-form-urlencoded"
    for body, kind, status in (
        (b"{}", "application/json", 415),
        (b"x=" + b"y" * 65_536, form, 413),
        (b"&".join(b"a=b" for _ in range(1001)), form, 400),
        (b"a=\xff", form, 400),
        (b"", form, 403),
    ):
        headers = {"Content-Type": kind}
        answer = visitor._sent("POST", "/ops/sign-out", body=body, headers=headers)
        assert answer.status_code == status
        assert "<h1>" in answer.text
        assert "Traceback" not in answer.text


def test_a_sign_in_leads_back_to_a_page_of_ours_and_nowhere_else() -> None:
    for path in (
        "/ops/jobs?q=a%20b&state=failed",
        "/dramatiq/queues/render",
        "/ops/jobs/1",
        "/dramatiq",
    ):
        assert CONSOLE.local_path(path, "") == path
    for path in (
        "",
        "//evil.example/ops/",
        "https://evil.example",
        "/ops/\\evil",
        "/opsx",
        "/keys",
        "/ops/../keys",
        "/ops/%2e%2E/keys",
        "/ops/.%2e/jobs/",
        "/ops/./x",
        "/jobs/",
    ):
        assert CONSOLE.local_path(path, "") == "/ops/"


def test_the_console_lies_below_the_prefix(
    service: Service, settings: Settings, operator_token: str
) -> None:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    prefixed = create_app(service, Settings(**values | {"api_prefix": "/products/api/v1"}))
    visitor = Visitor(prefixed, "/products/api/v1")
    answer = visitor.sign_in(operator_token)
    assert answer.headers["location"] == "/products/api/v1/ops/"
    assert answer.cookies["qrmill_session"].path == "/products/api/v1"
    page = visitor.get("/ops/").text
    assert 'href="/ops/' not in page
    assert visitor.get("/dramatiq/").status_code == (
        200 if find_spec("dramatiq_dashboard") else 404
    )
    assert TestClient(prefixed).simulate_get("/ops/").status_code == 401


def test_without_redis_a_page_says_so(visitor: Visitor, settings: Settings) -> None:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    lonely = Settings(**values | {"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    elsewhere = Visitor(create_app(open_service(lonely), lonely))
    elsewhere.cookies = visitor.cookies
    answer = elsewhere.get("/ops/")
    assert answer.status_code == 503
    assert "<h1>503 Service Unavailable</h1>" in answer.text
    assert answer.headers["retry-after"]
