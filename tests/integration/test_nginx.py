"""The configurations of deploy/nginx/, run by nginx in front of the API and of S3."""

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from deploy.compose_secrets import make_secrets
from deploy.embedded.ports import free_port
from deploy.embedded.process import Part, start_and_wait
from deploy.embedded.servers import S3Server
from pipeline.service import Settings
from tests.integration.raw_api import RawApi, running_api

CONFIGURATIONS = Path(__file__).parents[2] / "deploy" / "nginx"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    NGINX is None, reason="no nginx; `make debian-packages` installs it"
)


@contextmanager
def running_nginx(directory: Path, configuration: str, port: int) -> Iterator[httpx2.Client]:
    """Run nginx; yield a client of its TLS port that trusts its certificate."""
    make_secrets(directory / "secrets")
    file = directory / "nginx.conf"
    file.write_text(configuration.replace("SECRETS", f"{directory}/secrets"), "utf-8")
    trust = ssl.create_default_context(cafile=str(directory / "secrets" / "tls-certificate.pem"))
    command = (str(NGINX), "-e", "stderr", "-p", str(directory), "-c", str(file))
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("warn")) == (0, 0), done.stderr

    def responds() -> bool:
        try:
            return bool(client.get("/").status_code)
        except httpx2.TransportError:
            return False

    url = f"https://localhost:{port}"
    with httpx2.Client(base_url=url, verify=trust, trust_env=False, timeout=30) as client:
        part = Part(
            name="nginx",
            command=(*command, "-g", "daemon off;"),
            directory=directory,
            environment=dict(os.environ),
            new_probe=lambda: responds,
        )
        process = start_and_wait(part, directory)
        try:
            yield client
        finally:
            process.stop()


def user() -> str:
    """Let nginx keep the user of the test, who alone may read the test's folder."""
    return "user root;\n" if os.geteuid() == 0 else ""


@pytest.fixture
def api(settings: Settings, tmp_path: Path) -> Iterator[RawApi]:
    with running_api(settings, tmp_path) as running:
        yield running


def on_a_host(api: RawApi, port: int, directory: Path) -> str:
    """Return qrmill.conf with a port, a certificate and an API of the test."""
    text = (CONFIGURATIONS / "qrmill.conf").read_text("utf-8")
    for of_the_page, of_the_test in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("listen [::]:443 ssl", f"listen [::1]:{port} ssl"),
        ("server_name qrmill.example", "server_name localhost"),
        ("/etc/ssl/qrmill/certificate.pem", "SECRETS/tls-certificate.pem"),
        ("/etc/ssl/qrmill/key.pem", "SECRETS/tls-key.pem"),
        ("127.0.0.1:8080", f"127.0.0.1:{api.port}"),
    ):
        assert of_the_page in text
        text = text.replace(of_the_page, of_the_test)
    paths = "".join(
        f"{name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    own = f"pid {directory}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}"
    return f"{user()}{own}{text}}}\n"


def in_compose(api: RawApi, port: int, s3_port: int, s3: S3Server, directory: Path) -> str:
    """Return compose.conf with the ports and addresses of the test."""
    text = (CONFIGURATIONS / "compose.conf").read_text("utf-8")
    for of_the_file, of_the_test in (
        ("/tmp/", f"{directory}/"),  # noqa: S108 - of the container
        ("/run/secrets/tls_certificate", "SECRETS/tls-certificate.pem"),
        ("/run/secrets/tls_key", "SECRETS/tls-key.pem"),
        ("resolver RESOLVER", "resolver 127.0.0.1"),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("listen 9443", f"listen 127.0.0.1:{s3_port}"),
        ("http://api-front:8080", f"http://127.0.0.1:{api.port}"),
        ("http://s3:9000", s3.endpoint_url),
    ):
        assert of_the_file in text
        text = text.replace(of_the_file, of_the_test)
    return user() + text


@pytest.mark.parametrize("compose", [False, True])
def test_nginx_terminates_tls_and_buffers_slow_clients(
    api: RawApi,
    token: str,
    s3: S3Server,
    tmp_path: Path,
    compose: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    port = free_port()
    text = on_a_host(api, port, tmp_path)
    if compose:
        text = in_compose(api, port, free_port(), s3, tmp_path)
    key = {"X-API-Key": token}
    with running_nginx(tmp_path, text, port) as client, ExitStack() as stack:
        page = client.get("/ops/sign-in")
        assert page.headers["Strict-Transport-Security"] == "max-age=63072000"
        (cookie,) = page.headers.get_list("Set-Cookie")
        assert cookie.startswith("__Host-qrmill_visit=")
        assert "Secure" in cookie
        trust = ssl.create_default_context(cafile=str(tmp_path / "secrets" / "tls-certificate.pem"))
        head = f"POST /qr/bulk/ HTTP/1.1\r\nHost: a\r\nX-API-Key: {token}\r\nContent-Length: 100000"
        for _ in range(50):
            plain = RawApi(port, api.process).connect()
            slow = stack.enter_context(trust.wrap_socket(plain, server_hostname="localhost"))
            slow.sendall(f"{head}\r\n\r\n{{".encode())
        body = {"gtin": "9506000134352", "items": [{"serial": f"{n:020}"} for n in range(5000)]}
        for _ in range(5):
            assert client.post("/qr/bulk/", json=body, headers=key).status_code == 202
            # Longer than any deadline of the API here, which sees none of the slow bodies.
            time.sleep(0.6)
        forged = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "http", "SCRIPT_NAME": "/x"}
        assert client.get("/qr/bulk/", headers=key | forged).status_code == 200
        page = client.get("/ops/sign-in", headers=forged)
        assert page.headers["Set-Cookie"].startswith("__Host-")
    paths = [row["path"] for row in api.events("request") if row["status"] != 200]
    assert paths.count("/qr/bulk") == 5  # the 202s
    assert api.events("connections ended") == []
    assert api.events("forwarded headers ignored") == []


def test_downloads_come_over_tls_and_nothing_else_gets_to_s3(
    api: RawApi, settings: Settings, s3: S3Server, tmp_path: Path
) -> None:
    port, s3_port = free_port(), free_port()
    client_of_s3 = s3.client()
    client_of_s3.put_object(Bucket=settings.bucket, Key="bundle", Body=b"x" * 1_000_000)
    with running_nginx(tmp_path, in_compose(api, port, s3_port, s3, tmp_path), port) as client:
        public = S3Server(s3_port, s3.access_key_id, s3.secret_access_key)
        url = public.client().generate_presigned_url(
            "get_object", Params={"Bucket": settings.bucket, "Key": "bundle"}
        )
        url = url.replace("http://", "https://")
        assert client.get(url).content == b"x" * 1_000_000
        assert client.put(url, content=b"y").status_code == 403
        assert client.get(url.partition("?")[0]).status_code in {400, 403}  # not signed
