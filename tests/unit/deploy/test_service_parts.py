from pathlib import Path

from deploy.embedded import servers, service_parts
from deploy.embedded.credentials import write_secret_files
from pipeline.settings import Settings

REDIS = servers.RedisServer(6380, "open-sesame")
S3 = servers.S3Server(9001, "key", "friend-and-enter")


def environment(directory: Path, **before: str) -> dict[str, str]:
    write_secret_files(directory, REDIS.url, S3.secret_access_key)
    return service_parts.service_environment(before, S3, directory)


def test_the_service_reads_the_stacks_servers_from_its_environment(tmp_path: Path) -> None:
    settings = Settings.from_environment(environment(tmp_path))
    assert settings.redis_url == REDIS.url == "redis://:open-sesame@127.0.0.1:6380/0"
    assert settings.s3_endpoint_url == "http://127.0.0.1:9001"
    assert settings.s3_access_key_id == "key"
    assert settings.s3_secret_access_key == "friend-and-enter"


def test_other_settings_of_the_user_are_kept(tmp_path: Path) -> None:
    assert environment(tmp_path, QRMILL_CHUNK_SIZE="100")["QRMILL_CHUNK_SIZE"] == "100"


def test_a_secret_or_key_of_the_user_is_not_handed_on(tmp_path: Path) -> None:
    names = (
        *("QRMILL_REDIS_URL", "QRMILL_S3_SECRET_ACCESS_KEY", "QRMILL_S3_ACCESS_KEY_ID_FILE"),
        *("QRMILL_API_KEY", "QRMILL_URL"),
    )
    before = dict.fromkeys(names, "theirs")
    assert "theirs" not in environment(tmp_path, **before).values()


def test_the_services_environment_has_no_secret(tmp_path: Path) -> None:
    values = environment(tmp_path).values()
    assert [value for value in values if "sesame" in value or "enter" in value] == []


def test_secrets_stand_in_no_command_line_and_no_repr(tmp_path: Path) -> None:
    parts = [
        servers.valkey(REDIS, tmp_path / "valkey", {}),
        servers.s3(S3, tmp_path / "s3", (), {}),
        service_parts.worker(1, tmp_path, environment(tmp_path), REDIS),
        service_parts.api(8080, "http://127.0.0.1:8080", tmp_path, environment(tmp_path)),
    ]
    shown = [" ".join(part.command) for part in parts] + [repr(REDIS), repr(S3)]
    assert [text for text in shown if "sesame" in text or "enter" in text] == []


def test_a_users_rclone_settings_do_not_reach_the_server(tmp_path: Path) -> None:
    made = servers.s3(S3, tmp_path, (), {"RCLONE_BWLIMIT": "1k", "HOME": "kept"}).environment
    assert "RCLONE_BWLIMIT" not in made
    assert made["HOME"] == "kept"
    assert made["RCLONE_CONFIG"] == ""
