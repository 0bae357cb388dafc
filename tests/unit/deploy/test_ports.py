import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded.ports import PortTakenError, free_port, is_free, remembered_ports, wanted_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_free_port_is_free() -> None:
    assert is_free(free_port())


def test_a_free_port_is_given_to_nobody_else() -> None:
    given = [free_port() for _ in range(300)]  # of 28,000: by chance alone, some would come twice
    assert len(set(given)) == 300
    assert all(is_free(port) for port in given)


def test_a_taken_port_is_told(taken: int) -> None:
    assert not is_free(taken)
    with pytest.raises(PortTakenError, match=f"Port {taken} .* in use.* --port 0"):
        wanted_port(taken)


def test_port_zero_is_any_free_one() -> None:
    assert wanted_port(0) > 1023


def test_ports_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    assert remembered_ports(path) == remembered_ports(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_the_port_that_was_taken_changes(tmp_path: Path, taken: int) -> None:
    path = tmp_path / "ports.json"
    redis = free_port()
    path.write_text(f'{{"redis": {redis}, "s3": {taken}}}', encoding="utf-8")
    ports = remembered_ports(path)
    assert ports.redis == redis
    assert ports.s3 != taken
    assert remembered_ports(path) == ports


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text('{"redis": "six', encoding="utf-8")
    assert remembered_ports(path) == remembered_ports(path)
