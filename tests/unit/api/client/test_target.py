"""Downloads to whatever a path can name: links, FIFOs, devices, and what is none of these."""

import io
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from api.client import ApiError, Client, DownloadError
from tests.devices import device
from tests.unit.api.client.test_download import CONTENT, Store
from tests.unit.api.scripted_server import LOST, TASK, Answer, ScriptedServer, problem


@pytest.fixture
def store(server: ScriptedServer) -> Store:
    return Store(server)


def reader_of(fifo: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("there", [None, b"an older bundle"])
@pytest.mark.parametrize("links", [1, 2])
def test_a_symbolic_link_is_followed_and_stays(
    client: Client, tmp_path: Path, links: int, there: bytes | None
) -> None:
    file = tmp_path / "bundles" / "today.zip"
    file.parent.mkdir()
    if there:
        file.write_bytes(there)
    target = Path("bundles/today.zip")  # relative to the link's folder
    for number in range(links):
        (tmp_path / f"link{number}").symlink_to(target)
        target = Path(f"link{number}")
    assert client.download(TASK, tmp_path / target) == tmp_path / target
    assert (tmp_path / target).is_symlink()
    assert file.read_bytes() == CONTENT
    assert [*file.parent.iterdir()] == [file]


def test_a_link_to_a_file_is_replaced_at_once_or_not_at_all(
    store: Store, client: Client, tmp_path: Path
) -> None:
    file, link = tmp_path / "file.zip", tmp_path / "link.zip"
    file.write_bytes(b"an older bundle")
    link.symlink_to(file)
    seen: list[bytes] = []

    def broken(answer: Answer) -> Answer:
        seen.append(link.read_bytes())
        return answer._replace(cut=5000)

    def resumed(answer: Answer) -> Answer:
        seen.append((tmp_path / "file.zip.part").read_bytes())
        return answer

    store.before = [broken, resumed]
    client.download(TASK, link)
    assert seen == [b"an older bundle", CONTENT[:5000]]
    assert (link.is_symlink(), file.read_bytes()) == (True, CONTENT)


def test_a_fifo_gets_the_verified_bundle_and_stays(
    store: Store, client: Client, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    wrong = Answer(200, CONTENT[::-1])
    store.before = [lambda _: wrong, lambda answer: answer._replace(cut=5000)]
    reader = reader_of(fifo)
    assert client.download(TASK, fifo) == fifo
    assert reader.communicate(timeout=60)[0] == CONTENT
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert [*tmp_path.iterdir()] == [fifo]


@pytest.mark.parametrize("fails", ["rejected", "wrong"])
def test_a_fifos_reader_gets_nothing_of_a_failed_download(
    server: ScriptedServer, client: Client, tmp_path: Path, fails: str
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    store = Store(server)
    store.content = CONTENT[::-1]
    if fails == "rejected":
        server.script = lambda _: problem(404, "not_found")
    reader = reader_of(fifo)
    with pytest.raises((ApiError, DownloadError)):
        client.download(TASK, fifo)
    assert reader.communicate(timeout=60)[0] == b""


@pytest.mark.usefixtures("store")
def test_a_device_is_written_to(client: Client, tmp_path: Path) -> None:
    null, full, link = device("null", tmp_path), device("full", tmp_path), tmp_path / "link"
    link.symlink_to(null)
    for path in (null, link):
        assert client.download(TASK, path) == path
        assert path.is_char_device()
    with pytest.raises(OSError, match="No space left on device") as raised:
        client.download(TASK, full)
    assert raised.value.filename == str(full)
    assert full.is_char_device()


@pytest.mark.usefixtures("store")
def test_a_file_without_a_name_is_written_to(client: Client, tmp_path: Path) -> None:
    with (tmp_path / "deleted").open("w+b") as file:
        file.write(CONTENT * 2)
        file.flush()
        (tmp_path / "deleted").unlink()
        client.download(TASK, f"/dev/fd/{file.fileno()}")
        file.seek(0)
        assert file.read() == CONTENT
    assert [*tmp_path.iterdir()] == []


class Trickle(io.RawIOBase):
    """A raw file that takes a few bytes of what it is given, as a pipe may."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: "memoryview[int]") -> int:  # type: ignore[override]
        self.taken += bytes(data[:1000])
        return len(data[:1000])


@pytest.mark.usefixtures("store")
def test_an_open_file_is_written_to(client: Client, tmp_path: Path) -> None:
    buffer, raw = io.BytesIO(), Trickle()
    assert client.download(TASK, buffer) is None
    client.download(TASK, raw)  # type: ignore[call-overload]
    assert (buffer.getvalue(), raw.taken) == (CONTENT, CONTENT)
    with (tmp_path / "file").open("ab") as file:
        file.write(b"before")
        client.download(TASK, file)
        file.write(b"after")
    assert (tmp_path / "file").read_bytes() == b"before" + CONTENT + b"after"


def directory(path: Path) -> None:
    path.mkdir()


def link_to_directory(path: Path) -> None:
    path.symlink_to(path.parent)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def link_out_of_a_missing_folder(path: Path) -> None:
    path.symlink_to(path.parent / "missing" / "bundle.zip")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def part_is(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        make(path.with_name(f"{path.name}.part"))

    return made


CANNOT_BE_WRITTEN = [
    directory,
    link_to_directory,
    link_to_itself,
    link_out_of_a_missing_folder,
    unix_socket,
    part_is(directory),
    part_is(os.mkfifo),
    part_is(link_to_directory),
    part_is(lambda path: path.symlink_to("elsewhere")),
]


def snapshot(directory: Path) -> dict[Path, tuple[int, ...]]:
    """Return what writing to a file would change; reading a link changes its access time."""
    found = {path: path.lstat() for path in directory.iterdir()}
    return {
        path: (each.st_mode, each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns)
        for path, each in found.items()
    }


@pytest.mark.parametrize("make", CANNOT_BE_WRITTEN)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(
    server: ScriptedServer, client: Client, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "bundle.zip"
    make(path)
    before = snapshot(tmp_path)
    with pytest.raises(OSError, match=str(tmp_path)):
        client.download(TASK, path)
    assert server.requests == []
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["missing/bundle.zip", "file/bundle.zip", "new/", "n" * 256])
def test_a_path_that_no_file_can_have_is_refused_before_anything_is_sent(
    server: ScriptedServer, client: Client, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=str(tmp_path)):
        client.download(TASK, f"{tmp_path}/{name}")
    assert server.requests == []


UNWRITABLE = """
import sys
from api.client import Client

url, task_id, *paths = sys.argv[1:]
with Client(url, "key", attempts=1) as client:
    for path in paths:
        try:
            client.download(task_id, path)
        except PermissionError as error:
            print(error.filename)
"""


def test_an_unwritable_place_is_refused_before_anything_is_sent(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.script = lambda _: LOST
    folder, fifo = tmp_path / "folder", tmp_path / "fifo"
    folder.mkdir(mode=0o555)
    os.mkfifo(fifo, 0o400)
    part = tmp_path / "bundle.zip.part"
    part.touch(0o400)
    paths = [folder / "bundle.zip", fifo, tmp_path / "bundle.zip"]
    # CAP_DAC_OVERRIDE lets root write anywhere, so root gives it up.
    no_root = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    command = no_root if os.getuid() == 0 else []
    done = subprocess.run(
        [*command, sys.executable, "-c", UNWRITABLE, server.url, TASK, *map(str, paths)],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == ([str(folder), str(fifo), str(part)], "")
    assert server.requests == []
