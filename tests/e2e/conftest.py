"""The whole service as a user starts it, once a run."""

from collections.abc import Iterator

import httpx2
import psutil
import pytest

from deploy.embedded.running import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A running stack that the whole run shares: do not kill its parts, or the others wait.

    Its callbacks may go to the receivers of tests, on loopback.
    """
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("QRMILL_CALLBACK_HTTP", "true")
        environ.setenv("QRMILL_CALLBACK_NETWORKS", "127.0.0.1/32")
        with running_stack(tmp_path_factory.mktemp("stack")) as running:
            yield running


@pytest.fixture(scope="session")
def client(stack: RunningStack) -> Iterator[httpx2.Client]:
    """A client of the shared stack whose key may poll as often as tests do."""
    with stack.client("operator") as operator:
        body = {"name": "tests", "per_minute": 1_000_000, "per_day": 1_000_000}
        token = operator.post("/keys/", json=body).json()["api_key"]
    url, headers = stack.ready.api_url, {"X-API-Key": token}
    with httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as patient:
        yield patient


@pytest.fixture(scope="session")
def api_environ(stack: RunningStack) -> dict[str, str]:
    """The environment of the stack's API, for another API beside it, which has no metrics."""
    own = ("QRMILL_METRICS_PORT", "PROMETHEUS_MULTIPROC_DIR")
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        if "api.gunicorn_app" in process.cmdline():
            return {name: text for name, text in process.environ().items() if name not in own}
    raise LookupError("the stack has no API")
