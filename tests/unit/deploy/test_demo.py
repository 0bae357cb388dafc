"""The demo: what it reports of a stack that works, and of one that does not."""

import io
from contextlib import nullcontext
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from deploy.embedded import demo
from deploy.embedded.demo_job import DemoError
from deploy.embedded.running import StackError


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the demo with a stack that raises ``error``; return the exit status."""

    def fail(*_: object) -> Path:
        raise error

    monkeypatch.setattr(demo, "run", fail)
    return demo.main()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DemoError("the job failed: [red]no[/red]"), "the job failed: [red]no[/red]"),
        (StackError("the stack did not start: no rclone"), "the stack did not start: no rclone"),
        (KeyError("download_url"), "KeyError: 'download_url'"),
        (httpx2.ConnectError("refused"), "ConnectError: refused"),
    ],
)
def test_a_failed_demo_states_the_reason_on_standard_error(
    error: Exception,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failing_with(error, monkeypatch) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"The demo failed: {message}\n")


def test_an_interrupted_demo_exits_like_any_interrupted_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert failing_with(KeyboardInterrupt(), monkeypatch) == 130


def test_a_defect_of_the_demo_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError):
        failing_with(TypeError("a defect"), monkeypatch)


def test_a_demo_that_succeeds_reports_the_bundle_and_the_slowest_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(bytes(2_500_000))

    def succeed(_out: Path, _items: int, _console: Console, stages: demo.Stages) -> Path:
        stages.seconds.update({"set-up": 1.25, "rendering": 2.04, "verify": 0.5})
        return bundle

    monkeypatch.setattr(demo, "run", succeed)
    assert demo.main() == 0
    out = capsys.readouterr().out
    assert f"{bundle} (2.5 MB)" in out
    assert "set-up 1.2 s, rendering 2.0 s, verify 0.5 s" in out
    assert "rendering" in out.splitlines()[-1]


def test_a_stage_that_fails_has_no_duration() -> None:
    stages = demo.Stages()
    with stages("accept"):
        pass
    with pytest.raises(DemoError), stages("download"):
        raise DemoError("no")
    assert [*stages.seconds] == ["accept"]
    assert stages.seconds["accept"] >= 0


class EndedStack:
    """A stack that completes any job, and whose process has ended with ``status``."""

    def __init__(self, status: int) -> None:
        self.process = self
        self.returncode = status
        self._polls = iter([1, 2])

    def client(self) -> httpx2.Client:
        transport = httpx2.MockTransport(self._respond)
        return httpx2.Client(base_url="http://api/", transport=transport)

    def output(self) -> str:
        return "valkey died\n"

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            return httpx2.Response(202, json={"poll_url": "/poll"})
        staged = next(self._polls)
        status = "completed" if staged == 2 else "processing"
        chunks = {"staged": staged, "total": 2, "failed": 0}
        return httpx2.Response(
            200,
            json={"status": status, "progress_percent": 50, "chunks": chunks, "download_url": "/b"},
        )


def run_with(stack: EndedStack, out: Path, monkeypatch: pytest.MonkeyPatch) -> demo.Stages:
    """Run the demo on ``stack``; the download and the check of the bundle succeed."""
    downloaded: list[tuple[str, Path]] = []
    monkeypatch.setattr(demo, "running_stack", lambda _: nullcontext(stack))
    monkeypatch.setattr(demo, "download", lambda *arguments: downloaded.append(arguments))
    monkeypatch.setattr(demo, "check_bundle", lambda *_: None)
    monkeypatch.setattr("deploy.embedded.demo_job._POLL_SECONDS", 0)
    stages = demo.Stages()
    assert demo.run(out, 2, Console(file=io.StringIO()), stages) == out / "bundle.zip"
    assert downloaded == [("/b", out / "bundle.zip")]
    return stages


def test_every_stage_of_the_demo_is_timed_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "left").touch()
    stages = run_with(EndedStack(0), out, monkeypatch)
    assert [*stages.seconds] == ["set-up", "accept", "rendering", "bundle", "download", "verify"]
    assert not (out / "left").exists(), "the output of an earlier run is deleted"


def test_a_stack_that_ends_with_an_error_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DemoError, match="valkey died"):
        run_with(EndedStack(1), tmp_path / "out", monkeypatch)
