"""Downloads that break wherever they can: what is put in place is right, or nothing is."""

import errno
import fcntl
import hashlib
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.client import ApiError, Client, DownloadError, TaskFailedError
from tests.unit.api.scripted_server import (
    LOST,
    TASK,
    Answer,
    Clock,
    Request,
    ScriptedServer,
    as_json,
    problem,
    task,
)

ROOT = Path(__file__).parents[4]
CONTENT = bytes(range(256)) * 40
SIGNATURE = "X-Amz-Signature=abc123"

#: A download in an interpreter that has no more modules than Windows has.
WITHOUT_POSIX = """
import sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # an import of it raises ImportError
from pathlib import Path
from api.client import Client, DownloadError, locking

assert not locking._HAS_FLOCK
url, task_id, path = sys.argv[1:]
lock = Path(f"{path}.part.lock")
with Client(url, "key", attempts=1) as client:
    lock.touch()
    try:
        client.download(task_id, path)
    except DownloadError as error:
        print(error)
    lock.unlink()
    print(client.download(task_id, path))
assert not lock.exists()
"""


class Store:
    """The API's poll and an object store behind one address.

    Attributes:
        content, etag: of the object.
        promised: what the API says the bundle is.
        knows_ranges, knows_if_range: else it ignores the header.
        range_status: of the answer that is a range; rclone's S3 server says 200.
        before: what is done to the next answers of the store.
    """

    def __init__(self, server: ScriptedServer, content: bytes = CONTENT) -> None:
        self.content = content
        self.promised = content
        self.polls = 0
        self.etag: str | None = '"one"'
        self.knows_ranges = self.knows_if_range = True
        self.range_status = 206
        self.before: list[Callable[[Answer], Answer]] = []
        self.server = server
        server.script = self.answer

    def answer(self, request: Request) -> Answer:
        if not request.path.startswith("/bundle"):
            self.polls += 1
            return as_json(self.status())
        assert "X-API-Key" not in request.headers
        assert SIGNATURE in request.path
        found = self._object(request)
        return self.before.pop(0)(found) if self.before else found

    def status(self) -> dict[str, object]:
        bundle = {
            "bytes": len(self.promised),
            "sha256": hashlib.sha256(self.promised).hexdigest(),
            "expires_at": "2026-11-24T10:00:00+00:00",
        }
        url = f"{self.server.url}/bundle.zip?{SIGNATURE}&poll={self.polls}"
        return task("completed", download_url=url, bundle=bundle, items=2)

    def _object(self, request: Request) -> Answer:
        headers = {"ETag": self.etag} if self.etag else {}
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        validator = request.headers.get("If-Range")
        changed = validator is not None and validator != self.etag and self.knows_if_range
        if not asked or not self.knows_ranges or changed:
            return Answer(200, self.content, headers)
        begin, size = int(asked[1]), len(self.content)
        if begin >= size:
            return Answer(416, headers={"Content-Range": f"bytes */{size}"})
        return Answer(
            self.range_status,
            self.content[begin:],
            headers | {"Content-Range": f"bytes {begin}-{size - 1}/{size}"},
        )


def cut(at: int) -> Callable[[Answer], Answer]:
    return lambda answer: answer._replace(cut=at)


def instead(answer: Answer) -> Callable[[Answer], Answer]:
    return lambda _: answer


@pytest.fixture
def store(server: ScriptedServer) -> Store:
    return Store(server)


def ranges(server: ScriptedServer) -> list[str | None]:
    return [each.headers["Range"] for each in server.requests if each.path.startswith("/bundle")]


def test_a_bundle_is_downloaded_and_verified(
    server: ScriptedServer, store: Store, client: Client, tmp_path: Path
) -> None:
    assert client.download(TASK, tmp_path / "bundle.zip") == tmp_path / "bundle.zip"
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert [*tmp_path.iterdir()] == [tmp_path / "bundle.zip"]
    assert (store.polls, ranges(server)) == (1, [None])


def test_a_broken_download_goes_on_where_it_broke(
    server: ScriptedServer, store: Store, client: Client, clock: Clock, tmp_path: Path
) -> None:
    store.before = [cut(1000), cut(5000), instead(LOST), instead(Answer(503))]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=6000-", "bytes=6000-", "bytes=6000-"]
    assert len(clock.slept) == 2  # only after those that brought nothing
    assert server.requests[-1].headers["If-Range"] == '"one"'


@pytest.mark.usefixtures("store")
def test_a_download_goes_on_in_another_process(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "bundle.zip.part").write_bytes(CONTENT[:7000])
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert ranges(server) == ["bytes=7000-"]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (CONTENT, []),  # whole: it was interrupted before it was put in place
        (b"x" * 20_000, [None]),  # too long to be of this bundle
        (b"x" * len(CONTENT), [None]),
        (b"x" * 7000, ["bytes=7000-", None]),
    ],
)
def test_what_is_left_of_another_bundle_does_no_harm(
    store: Store, client: Client, tmp_path: Path, left: bytes, expected: list[str | None]
) -> None:
    (tmp_path / "bundle.zip.part").write_bytes(left)
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert ranges(store.server) == expected
    assert store.polls == 1


@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', None])
@pytest.mark.parametrize("knows_if_range", [True, False])
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_file_that_changes_between_two_ranges_is_fetched_anew(
    store: Store,
    client: Client,
    tmp_path: Path,
    etag: str | None,
    *,
    knows_if_range: bool,
    knows_ranges: bool,
) -> None:
    store.content, store.etag = CONTENT[::-1], etag
    store.knows_if_range, store.knows_ranges = knows_if_range, knows_ranges

    def change(answer: Answer) -> Answer:
        store.content, store.etag = CONTENT, etag and etag.replace("one", "two")
        return answer._replace(cut=5000)

    store.before = [change]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    validators = {each.headers["If-Range"] for each in store.server.requests}
    assert validators == ({None, '"one"'} if etag == '"one"' else {None})


def test_a_file_that_changes_again_and_again_is_had_when_that_ends(
    store: Store, client: Client, tmp_path: Path
) -> None:
    store.knows_if_range = False
    store.content = bytes(len(CONTENT))

    def change(tag: str, content: bytes) -> Callable[[Answer], Answer]:
        def changed(answer: Answer) -> Answer:
            store.etag, store.content = tag, content
            return answer._replace(cut=5000)

        return changed

    def whole(answer: Answer) -> Answer:
        return answer

    store.before = [change('"two"', store.content), whole, change('"three"', CONTENT), whole]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT


def test_another_range_than_was_asked_for_is_not_taken(
    store: Store, client: Client, tmp_path: Path
) -> None:
    size = len(CONTENT)
    headers = {"Content-Range": f"bytes 4000-{size - 1}/{size}", "ETag": '"one"'}
    store.before = [cut(5000), instead(Answer(206, CONTENT[4000:], headers))]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert ranges(store.server) == [None, "bytes=5000-", None]


def test_a_second_try_after_a_wrong_digest_may_break_as_often(
    store: Store, client: Client, tmp_path: Path
) -> None:
    wrong = instead(Answer(200, CONTENT[::-1]))
    store.before = [wrong, *(cut(at) for at in range(100, 1100, 100))]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("refusal", [400, 401, 403])
def test_an_expired_url_is_asked_for_anew(
    server: ScriptedServer, store: Store, client: Client, tmp_path: Path, refusal: int
) -> None:
    store.before = [cut(4000), instead(Answer(refusal))]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert store.polls == 2
    assert ranges(server) == [None, "bytes=4000-", "bytes=4000-"]
    assert "poll=2" in server.requests[-1].path


def test_urls_may_expire_often_while_there_is_progress(
    store: Store, client: Client, tmp_path: Path
) -> None:
    expired = [instead(Answer(403))] * 3
    store.before = [*expired, cut(100), *expired, cut(100), *expired]
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT


def test_a_url_that_is_always_refused_is_given_up(
    store: Store, client: Client, tmp_path: Path
) -> None:
    store.before = [instead(Answer(403))] * 20
    with pytest.raises(DownloadError, match="returned status 403"):
        client.download(TASK, tmp_path / "bundle.zip")
    assert store.polls == 4


def test_a_wrong_bundle_is_never_put_in_place(
    server: ScriptedServer, store: Store, client: Client, tmp_path: Path
) -> None:
    store.content = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match="SHA-256"):
        client.download(TASK, tmp_path / "bundle.zip")
    assert [*tmp_path.iterdir()] == []
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x"])
@pytest.mark.parametrize("left", [0, 100])
def test_a_bundle_of_another_size_is_given_up(
    store: Store, client: Client, tmp_path: Path, content: bytes, left: int
) -> None:
    (tmp_path / "bundle.zip.part").write_bytes(CONTENT[:left])
    store.content = content
    with pytest.raises(DownloadError, match=r"bytes|range"):
        client.download(TASK, tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_store_that_breaks_off_for_ever_is_given_up(
    server: ScriptedServer,
    store: Store,
    client: Client,
    clock: Clock,
    tmp_path: Path,
    *,
    knows_ranges: bool,
) -> None:
    store.knows_ranges = knows_ranges
    store.before = [cut(100)] + [cut(0 if knows_ranges else 100)] * 30
    with pytest.raises(DownloadError, match=f"100 of {len(CONTENT)} bytes"):
        client.download(TASK, tmp_path / "bundle.zip")
    assert len(ranges(server)) == 9
    assert len(clock.slept) == 7
    store.before = []
    client.download(TASK, tmp_path / "bundle.zip")  # it is never too late
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT


def test_a_failed_task_and_one_in_flight_have_no_bundle(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    server.answer_in_turn(
        as_json(task("failed", error="Why.", error_code="render_failed")),
        as_json(task("running")),
        problem(404, "not_found"),
    )
    for kind, words in (
        (TaskFailedError, "Why"),
        (DownloadError, "running; wait"),
        (ApiError, "not_found"),
    ):
        with pytest.raises(kind, match=words):
            client.download(TASK, tmp_path / "bundle.zip")
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(IsADirectoryError):
        client.download(TASK, tmp_path)


def test_a_second_download_to_the_same_path_is_refused(
    store: Store, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.zip"
    refusals: list[str] = []

    def meanwhile(answer: Answer) -> Answer:
        try:
            client.download(TASK, path)
        except DownloadError as error:
            refusals.append(str(error))
        return answer

    def begin_anew(answer: Answer) -> Answer:
        store.etag = '"two"'  # what there is of it is thrown away
        return answer._replace(cut=5000)

    store.knows_if_range = False
    store.before = [lambda first: meanwhile(first)._replace(cut=100), begin_anew]
    store.before += [meanwhile, meanwhile]
    client.download(TASK, path)
    assert refusals == [f"{path}.part is being written by another download"] * 3
    assert path.read_bytes() == CONTENT
    client.download(TASK, path)


def test_what_another_download_has_just_put_in_place_is_left_alone(
    store: Store, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, part = tmp_path / "bundle.zip", tmp_path / "bundle.zip.part"
    part.write_bytes(b"verified")
    lock = fcntl.flock

    def late(file: int, how: int) -> None:
        part.replace(path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(DownloadError, match="another download"):
        client.download(TASK, path)
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"verified", [path])
    assert store.polls == 0


@pytest.mark.usefixtures("store")
def test_a_file_system_without_locks_is_written_all_the_same(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT


def test_a_download_works_without_the_modules_of_posix(
    server: ScriptedServer, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.zip"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX, server.url, TASK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{path}.part is being written by another download\n{path}\n"
    assert path.read_bytes() == store.content
    assert [*tmp_path.iterdir()] == [path]


def test_no_secret_of_a_url_gets_into_a_message_or_a_log_line(
    store: Store, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.before = [cut(50), instead(LOST), instead(Answer(404))]
    with pytest.raises(DownloadError, match=r"/bundle\.zip returned status 404") as raised:
        client.download(TASK, tmp_path / "bundle.zip")
    assert "/bundle.zip" in caplog.text
    assert "abc123" not in f"{raised.value!r} {caplog.text}"


@given(
    content=st.binary(min_size=1, max_size=3000),
    left=st.none() | st.integers(0, 3000) | st.binary(max_size=3500),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
    behaviour=st.tuples(
        st.sampled_from(['"one"', 'W/"one"', None]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([206, 200]),
    ),
)
@settings(max_examples=100, deadline=None)
def test_broken_at_any_offsets_it_resumes_and_verifies(
    shared_server: ScriptedServer,
    shared_client: Client,
    *,
    content: bytes,
    left: int | bytes | None,
    cuts: list[int],
    behaviour: tuple[str | None, bool, bool, int],
) -> None:
    store = Store(shared_server, content)
    store.etag, store.knows_ranges, store.knows_if_range, store.range_status = behaviour
    store.before = [cut(at) for at in cuts]
    with TemporaryDirectory() as directory:
        path = Path(directory, "bundle.zip")
        if left is not None:
            there = content[:left] if isinstance(left, int) else left
            Path(directory, "bundle.zip.part").write_bytes(there)
        shared_client.download(TASK, path)
        assert path.read_bytes() == content
        assert [*Path(directory).iterdir()] == [path]
