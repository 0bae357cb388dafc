"""The Python client as its users have it: the wheel, in an environment without the service."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from deploy.embedded.running import RunningStack
from tests.wheels import ROOT, build_wheel
from tests.wheels import run as run_command

CLIENT = ROOT / "api" / "client"
EXAMPLE = r"<!-- run -->\n```python\n(.*?)```"
(README_EXAMPLE,) = re.findall(EXAMPLE, (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
(PACKAGE_EXAMPLE,) = re.findall(EXAMPLE, (CLIENT / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(CLIENT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment that has the wheel, with the pinned dependencies."""
    directory = tmp_path_factory.mktemp("environment")
    run_command(sys.executable, "-m", "venv", directory)
    found = directory / "bin" / "python"
    pip = (found, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run_command(*pip, "install", "--constraint", ROOT / "constraints.txt", wheel)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project, which has a package ``api`` of its own."""
    package = tmp_path / "project" / "api"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('OWNER = "the project"\n', "utf-8")
    return package.parent


def run(python: Path, script: str, project: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-W", "error", "-c", script],
        env=inherited | environment,
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def service(stack: RunningStack) -> dict[str, str]:
    return {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.client_key}


def test_the_example_of_the_readme_runs(
    python: Path, project: Path, service: dict[str, str]
) -> None:
    for _ in range(2):  # the same order twice is one task
        printed = run(python, README_EXAMPLE, project, **service)
        assert printed.endswith("100.0 %\nsymbols.zip\n")
    with zipfile.ZipFile(project / "symbols.zip") as bundle:
        assert "00300_LOT-7_A0300.svg" in bundle.namelist()
        assert bundle.testzip() is None


def test_the_example_of_the_package_index_runs(
    python: Path, project: Path, service: dict[str, str]
) -> None:
    assert run(python, PACKAGE_EXAMPLE, project, **service) == "2 symbols in labels.zip\n"
    with zipfile.ZipFile(project / "labels.zip") as bundle:
        assert "00001_LOT-7_A0001.svg" in bundle.namelist()
        assert bundle.testzip() is None


def test_a_project_keeps_its_own_api_and_gets_nothing_of_the_service(
    python: Path, project: Path
) -> None:
    script = """
import api, qrmill_client
from importlib.util import find_spec
print(api.OWNER, *filter(find_spec, ("deploy", "falcon", "numpy", "pipeline", "redis", "render")))
"""
    assert run(python, script, project) == "the project\n"


def test_the_wheel_is_the_client_alone(wheel: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    about = f"qrmill_client-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
        metadata = message_from_bytes(archive.read(f"{about}/METADATA"))
    modules = {f"qrmill_client/{path.name}" for path in CLIENT.glob("*.py")}
    files = {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}
    assert names == modules | {"qrmill_client/py.typed"} | {f"{about}/{name}" for name in files}
    requirements = [re.split(r"[<>=]", each)[0] for each in metadata.get_all("Requires-Dist", [])]
    assert (metadata["Version"], requirements) == (version, ["httpx2", "msgspec"])


def test_the_wheel_of_the_service_has_the_client_as_code_only(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(ROOT, tmp_path)) as archive:
        found = {name for name in archive.namelist() if name.startswith("api/client/")}
    modules = {f"api/client/{path.name}" for path in CLIENT.glob("*.py")}
    assert found == modules | {"api/client/py.typed"}
