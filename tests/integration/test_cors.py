"""CORS headers: on which paths, for which origins, on which responses."""

from collections.abc import Callable
from uuid import uuid4

import falcon
import msgspec
import pytest
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.service import Service, Settings, open_service
from tests.faults.proxy import FaultProxy, Mode

SHOP, ADMIN = "https://shop.example.com", "http://127.0.0.1:3000"
STRANGER = "https://shop.example.com.evil.example"
STRANGERS = [STRANGER, "null", "*", SHOP.upper(), f"{SHOP}/", f"{SHOP}:443", f"{SHOP} {ADMIN}"]
STRANGERS += ["http://shop.example.com", "http://127.0.0.1", "http://127.0.0.1:3001"]
HEADERS = "X-API-Key, Authorization, Content-Type"
COVERED = ["/qr", "/qr/", "/qr/bulk/", f"/qr/bulk/{uuid4()}/", "/qr/nothing", "/openapi.json"]
OTHERS = ["/", "/keys/", "/keys/self", "/healthz", "/readyz", "/docs", "/docs/x.css", "/ops/"]
OTHERS += ["/jobs", "/jobs/", "/jobs/new", "/jobs/sign-in", "/jobs/static/ops.js"]
OTHERS += ["/qrx", "/openapi.jsonx", "/openapi.json/x", "/nothing", "/ops/sign-in", "//qr/"]
BODY = {"gtin": "9506000134352", "items": [{"lot": "A"}]}

MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client(service: Service, settings: Settings, token: str) -> MakeClient:
    def make(**changes: object) -> TestClient:
        changed = msgspec.structs.replace(settings, cors_origins=f"{SHOP} {ADMIN}", **changes)
        return TestClient(create_app(service, changed), headers={"X-API-Key": token})

    return make


def preflight(client: TestClient, path: str, origin: str = SHOP, method: str = "POST") -> Result:
    """Send what a browser sends before the request of a script: without the API key."""
    client = TestClient(client.app)
    return client.simulate_options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type,x-api-key",
        },
    )


def cors_headers(response: Result) -> dict[str, str]:
    names = ("access-control-", "vary")
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower().startswith(names)
    }


@pytest.mark.parametrize("prefix", ["", "/products/api/v1"])
@pytest.mark.parametrize("origin", [SHOP, ADMIN])
def test_a_preflight_request_needs_no_key(
    make_client: MakeClient, prefix: str, origin: str
) -> None:
    client = make_client(api_prefix=prefix)
    for path in COVERED:
        response = preflight(client, prefix + path, origin)
        assert response.status == falcon.HTTP_204
        assert response.content == b""
        assert cors_headers(response) == {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": "GET, POST, DELETE",
            "access-control-allow-headers": HEADERS,
            "access-control-max-age": "7200",
            "vary": "Origin",
        }


@pytest.mark.parametrize("origin", STRANGERS)
def test_another_origin_gets_no_permission(make_client: MakeClient, origin: str) -> None:
    client = make_client()
    for path in COVERED:
        assert cors_headers(preflight(client, path, origin)) == {"vary": "Origin"}
        response = client.simulate_get(path, headers={"Origin": origin})
        assert cors_headers(response) == {"vary": "Origin"}


@pytest.mark.parametrize("prefix", ["", "/products/api/v1"])
def test_no_other_path_has_cors_headers(make_client: MakeClient, prefix: str) -> None:
    client = make_client(api_prefix=prefix)
    paths = [prefix + path for path in OTHERS] + (COVERED if prefix else [])
    for path in paths:
        assert cors_headers(preflight(client, path)) == {}, path
        response = client.simulate_get(path, headers={"Origin": SHOP})
        assert not any(name.startswith("access-control-") for name in cors_headers(response)), path
        assert "Origin" not in response.headers.get("vary", ""), path


def test_without_the_setting_there_are_none(client: TestClient) -> None:
    for path in COVERED:
        response = preflight(client, path)
        assert cors_headers(response) == {}
        assert response.status_code == (200 if path == "/openapi.json" else 401)
        assert cors_headers(client.simulate_get(path, headers={"Origin": SHOP})) == {}


def test_preflight_requests_are_not_counted(make_client: MakeClient) -> None:
    client = make_client()
    for _ in range(5):
        assert "RateLimit-Remaining" not in preflight(client, "/qr/bulk/").headers
    response = client.simulate_get("/qr/bulk/", headers={"Origin": SHOP})
    assert response.headers["RateLimit-Remaining"] == "299"


def test_an_options_request_that_is_no_preflight_needs_a_key(make_client: MakeClient) -> None:
    nobody = TestClient(make_client().app)
    for headers in (
        {},
        {"Origin": SHOP},
        {"Access-Control-Request-Method": "POST"},
    ):
        assert nobody.simulate_options("/qr/bulk/", headers=headers).status_code == 401


def test_every_response_can_be_read_by_a_script(
    make_client: MakeClient, operator: TestClient
) -> None:
    client = make_client()
    origin = {"Origin": SHOP}
    accepted = client.simulate_post("/qr/bulk/", json=BODY, headers=origin)
    slow = operator.simulate_post("/keys/", json={"name": "slow", "per_minute": 1}).json["api_key"]
    limited = {"X-API-Key": slow, **origin}
    responses = {
        200: client.simulate_get("/openapi.json", headers=origin),
        202: accepted,
        304: poll_twice(client, accepted.json["poll_url"], origin),
        400: client.simulate_post(
            "/qr/bulk/", body=b"{", headers={**origin, "Content-Type": "application/json"}
        ),
        401: TestClient(client.app).simulate_post("/qr/bulk/", json=BODY, headers=origin),
        404: client.simulate_get(f"/qr/bulk/{uuid4()}/", headers=origin),
        405: client.simulate_put("/qr/bulk/", json=BODY, headers=origin),
        415: client.simulate_post(
            "/qr/bulk/", body=b"x", headers={**origin, "Content-Type": "text/plain"}
        ),
        422: client.simulate_post("/qr/bulk/", json={}, headers=origin),
        429: [client.simulate_get("/qr/bulk/", headers=limited) for _ in range(2)][1],
    }
    for status, response in responses.items():
        assert response.status_code == status
        assert_readable(response)


def poll_twice(client: TestClient, path: str, origin: dict[str, str]) -> Result:
    tag = client.simulate_get(path, headers=origin).headers["ETag"]
    return client.simulate_get(path, headers={**origin, "If-None-Match": tag})


def assert_readable(response: Result) -> None:
    found = cors_headers(response)
    assert found["access-control-allow-origin"] == SHOP
    assert "Origin" in found["vary"].split(", ")
    assert "access-control-allow-credentials" not in found
    exposed = {name.lower() for name in found["access-control-expose-headers"].split(", ")}
    wanted = {"location", "retry-after", "etag", "x-request-id"}
    wanted |= {name for name in map(str.lower, response.headers) if "ratelimit" in name}
    assert exposed >= wanted


def test_a_503_can_be_read_by_a_script(settings: Settings, proxy: FaultProxy) -> None:
    behind = msgspec.structs.replace(settings, s3_endpoint_url=proxy.url, cors_origins=SHOP)
    broken = open_service(behind)
    token = broken.api_keys.create(name="shop", role="client").token
    client = TestClient(create_app(broken, behind), headers={"X-API-Key": token, "Origin": SHOP})
    assert client.simulate_get("/qr/bulk/").status_code == 200  # the key is known from now on
    proxy.mode = Mode(refused=1.0, statuses=(503,))
    response = client.simulate_post("/qr/bulk/", json=BODY)
    assert response.status_code == 503
    assert_readable(response)
    broken.jobs.stop_waiting()


def test_a_script_learns_that_an_image_varies_by_origin(make_client: MakeClient) -> None:
    body = {"gtin": "9506000134352", "lot": "A"}
    for headers in ({"Origin": SHOP}, {"Origin": STRANGER}, {}):
        response = make_client().simulate_post("/qr/", json=body, headers=headers)
        assert response.status_code == 200
        assert "Origin" in response.headers["vary"]
