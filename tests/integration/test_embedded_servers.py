"""The embedded stack's servers keep what they were given, for whom it was given."""

import fcntl
import os
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import redis
from botocore.exceptions import ClientError

from deploy.embedded import servers
from deploy.embedded.credentials import CredentialsError, api_tokens, server_credentials
from deploy.embedded.disk import write_through
from deploy.embedded.ports import free_port
from deploy.embedded.process import Part, PartProcess, start_and_wait, wait_until
from pipeline.service import ApiKeys
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage

Run = Callable[[Part], PartProcess]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts a part; all are ended with the test."""
    running = []

    def start(part: Part) -> PartProcess:
        running.append(start_and_wait(part, tmp_path / "logs"))
        return running[-1]

    yield start
    for process in running:
        process.stop()


def kill(process: PartProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(process.ended, 10)
    process.clear()


def test_valkey_keeps_its_data_through_a_kill_and_refuses_rather_than_evict(
    run: Run, tmp_path: Path
) -> None:
    server = servers.RedisServer(free_port(), "open-sesame")
    part = servers.valkey(server, tmp_path / "with a space", os.environ)
    first = run(part)
    with redis.Redis.from_url(server.url) as client:
        client.set("job", "accepted")
        kill(first)
        run(part)
        assert client.get("job") == b"accepted"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize(
    "name",
    ['a"b', "a\\b", "a\\", "a b ", "'a'", "a\nb", "a\tb\x1b", "[a]", "*?", "#a", "ä€", "\udcff"],
)
def test_valkey_takes_a_directory_of_any_name(run: Run, tmp_path: Path, name: str) -> None:
    server = servers.RedisServer(free_port(), "open-sesame")
    run(servers.valkey(server, tmp_path / name, os.environ))
    nobody = f"redis://{server.host}:{server.port}"
    with redis.Redis.from_url(nobody) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    assert (tmp_path / name / "appendonlydir").is_dir()


def test_valkey_asks_for_its_password(redis_url: str) -> None:
    nobody = "redis://" + redis_url.partition("@")[2]
    with redis.Redis.from_url(nobody) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_s3_keeps_buckets_and_objects_through_a_kill(run: Run, tmp_path: Path) -> None:
    server = servers.S3Server(free_port(), "key", "friend-and-enter")
    part = servers.s3(server, tmp_path / "s3", ("first", "second"), os.environ)
    process, client = run(part), server.client()
    client.put_object(Bucket="first", Key="a/b", Body=b"kept")
    client.put_object(Bucket="second", Key="a/b", Body=b"")
    client.delete_object(Bucket="second", Key="a/b")
    kill(process)
    run(part)
    assert client.get_object(Bucket="first", Key="a/b")["Body"].read() == b"kept"
    # A bucket whose last object went is still there.
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["first", "second"]


def test_s3_refuses_another_secret(s3: servers.S3Server) -> None:
    stranger = servers.S3Server(s3.port, s3.access_key_id, "a guess")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_buckets()


def test_a_download_url_is_for_get_and_tells_the_size_by_a_range(bucket: Bucket) -> None:
    bucket.put("x.zip", b"zip file")
    url = bucket.presign("x.zip", seconds=60, filename="task.zip")
    assert httpx2.head(url).status_code == 403
    first = httpx2.get(url, headers={"Range": "bytes=0-0"})
    assert first.is_success  # rclone returns 200 where S3 has 206
    assert first.content == b"z"
    assert first.headers["Content-Range"] == "bytes 0-0/8"
    assert first.headers["ETag"]


def test_unfinished_uploads_of_a_killed_server_are_removed_at_the_next_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bucket" / "jobs"
    folder.mkdir(parents=True)
    (folder / ".rclone_temp_put_1").write_bytes(b"half")
    (folder / "whole").write_bytes(b"whole")
    servers.s3(servers.S3Server(free_port(), "key", "secret"), tmp_path, (), os.environ)
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_what_s3_writes_goes_through_to_the_disk(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "s3"
    folder.mkdir()
    if not write_through(folder):
        pytest.skip("this file system has no such attribute")
    server = servers.S3Server(free_port(), "key", "friend-and-enter")
    run(servers.s3(server, folder, ("bucket",), os.environ))
    server.client().put_object(Bucket="bucket", Key="jobs/1", Body=b"1")
    for path in (folder / "bucket", folder / "bucket" / "jobs", folder / "bucket" / "jobs" / "1"):
        assert is_written_through(path), path


def is_written_through(path: Path) -> bool:
    get_flags = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flags: int = struct.unpack("l", fcntl.ioctl(descriptor, get_flags, bytes(8)))[0]
    finally:
        os.close(descriptor)
    return bool(flags & 0x8)


@pytest.fixture
def api_keys(s3: servers.S3Server) -> ApiKeys:
    bucket = "embedded-keys"
    if bucket not in {there["Name"] for there in s3.client().list_buckets()["Buckets"]}:
        s3.client().create_bucket(Bucket=bucket)
    settings = Settings(
        s3_endpoint_url=s3.endpoint_url,
        s3_access_key_id=s3.access_key_id,
        s3_secret_access_key=s3.secret_access_key,
        bucket=bucket,
    )
    return ApiKeys(open_storage(settings, read_timeout=5).bucket)


def test_a_second_start_shows_the_same_keys(tmp_path: Path, api_keys: ApiKeys) -> None:
    first = api_tokens(tmp_path, api_keys)
    assert api_tokens(tmp_path, api_keys) == first
    assert (tmp_path / "api-keys.json").stat().st_mode & 0o777 == 0o600
    client, operator = map(api_keys.authenticate, (first.client_key, first.operator_key))
    assert client is not None
    assert operator is not None
    assert (client.role, operator.role) == ("client", "operator")


def test_a_revoked_key_is_replaced_and_the_other_kept(tmp_path: Path, api_keys: ApiKeys) -> None:
    first = api_tokens(tmp_path, api_keys)
    revoked = api_keys.authenticate(first.client_key)
    assert revoked is not None
    api_keys.revoke(revoked.key_id)
    second = api_tokens(tmp_path, api_keys)
    assert second.client_key != first.client_key
    assert second.operator_key == first.operator_key


def test_server_credentials_are_kept(tmp_path: Path) -> None:
    assert server_credentials(tmp_path) == server_credentials(tmp_path)


def test_damaged_credentials_are_named_and_not_replaced(tmp_path: Path) -> None:
    damaged = tmp_path / "servers.json"
    damaged.write_text("{", encoding="utf-8")
    with pytest.raises(CredentialsError, match=r"servers\.json is damaged"):
        server_credentials(tmp_path)
    assert damaged.read_text("utf-8") == "{"
