import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from pipeline.monitoring.logs import configure_logging
from pipeline.settings import Settings
configure_logging(Settings(log_format={form!r}))
structlog.contextvars.bind_contextvars(task_id="t1")
structlog.get_logger("ours").info("a line", chunk=3)
logging.getLogger("theirs").warning("another %s", "line")
logging.getLogger("botocore").info("https://host/key?X-Amz-Signature=abc")
token = "qrmill_" + "secret"
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("theirs").exception("broken")
"""


def run(form: str) -> list[str]:
    program = PROGRAM.format(form=form)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_json_line_has_its_context_and_libraries_tell_no_urls() -> None:
    lines = [json.loads(line) for line in run("json")]
    assert [line["event"] for line in lines] == ["a line", "another line", "broken"]
    assert (lines[0]["task_id"], lines[0]["chunk"], lines[0]["level"]) == ("t1", 3, "info")
    assert lines[1]["task_id"] == "t1"
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "qrmill_secret" not in "".join(map(str, lines))


def test_readable_lines_say_the_same() -> None:
    lines = run("text")
    assert "a line" in lines[0]
    assert "task_id=t1" in lines[0]
    assert "Signature" not in "".join(lines)
    assert "ZeroDivisionError" in "".join(lines)
    assert "qrmill_secret" not in "".join(lines)
