import re
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest

from pipeline.settings import Settings, SettingsError, unknown_variables, variable
from pipeline.webhooks.urls import callback_rules

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "configuration.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_every_setting_can_be_set() -> None:
    settings = Settings.from_environment(
        {
            "QRMILL_MAX_ITEMS": "7",
            "QRMILL_STAGING": "object",
            "QRMILL_API_PREFIX": "/products/api/v1",
        }
    )
    assert (settings.max_items, settings.staging) == (7, "object")
    assert settings.api_prefix == "/products/api/v1"


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("QRMILL_MAX_ITEMS", "many", "int"),
        ("QRMILL_MAX_ITEMS", "0", ">= 1"),
        ("QRMILL_MAX_ITEMS", "100001", "<= 100000"),
        ("QRMILL_STAGING", "disk", "enum"),
        ("QRMILL_LINK_BASE", "id.gs1.org", "https://"),
        ("QRMILL_LINK_BASE", "https://id.gs1.org/", "slash"),
        ("QRMILL_REDIS_URL", "localhost:6379", "redis://"),
        ("QRMILL_LINK_BASE", "https://x.org?a=1", "query"),
        ("QRMILL_LINK_BASE", "https://x.org/a b", "%20"),
        ("QRMILL_LINK_BASE", "https://x.org/01", "remove"),
        ("QRMILL_REDIS_URL", "redis://host:notaport/0", "redis://"),
        ("QRMILL_S3_ENDPOINT_URL", "http://", "http://host:port"),
        ("QRMILL_S3_ENDPOINT_URL", "http://[", "http://host:port"),
        ("QRMILL_BROKER_URL", "redis://host", "amqp://host:port"),
        ("QRMILL_S3_ACCESS_KEY_ID", "id", "QRMILL_S3_SECRET_ACCESS_KEY"),
        ("QRMILL_S3_SECRET_ACCESS_KEY_FILE", "/nonexistent", "No such file"),
        ("QRMILL_S3_ADDRESSING_STYLE", "host", "enum"),
        ("QRMILL_S3_SSE", "kms", "enum"),
        ("QRMILL_S3_SSE_KMS_KEY_ID", "alias/key", "QRMILL_S3_SSE=aws:kms"),
        ("QRMILL_S3_SSE_BUCKET_KEY", "true", "QRMILL_S3_SSE=aws:kms"),
        ("QRMILL_BUCKET", "a b", "regex"),
        ("QRMILL_API_PREFIX", "api/", "regex"),
        ("QRMILL_API_PREFIX", "/{v}", "regex"),
        ("QRMILL_CALLBACK_HTTP", "maybe", "bool"),
        ("QRMILL_CALLBACK_NETWORKS", "10.0.0.0/33", "10.0.0.0/8"),
        ("QRMILL_CALLBACK_NETWORKS", "10.0.0.1/8", "host bits"),
        ("QRMILL_CORS_ORIGINS", "*", "without a path, a wildcard"),
        ("QRMILL_CORS_ORIGINS", "https://a.example,https://b.example", "separate several by"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_the_fix(
    name: str, value: str, fix: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    sentence = str(caught.value)
    assert sentence.startswith(name)
    assert value in sentence or name == "QRMILL_S3_ACCESS_KEY_ID"
    assert fix in sentence


#: The lowest and the highest value of every setting that is a number; None without a limit.
_BOUNDS = {
    "max_items": (1, 100_000),
    "max_body_bytes": (1024, None),
    "chunk_size": (1, 10_000),
    "rate_per_minute": (1, None),
    "rate_per_day": (1, None),
    "items_per_minute": (0, None),
    "items_per_day": (0, None),
    "long_polls": (0, 10_000),
    "keep_alive": (1, 86_400),
    "download_url_ttl": (1, 7 * 86_400),
    "job_ttl": (1, None),
    "job_deadline": (1, None),
    "max_attempts": (1, None),
    "max_backlog": (1, None),
    "max_retries": (0, None),
    "retry_backoff": (1, None),
    "heartbeat_timeout": (5, None),
    "lease": (1, None),
    "upload_part_bytes": (5 * 1024 * 1024, None),
    "metrics_port": (1, 65_535),
}


def test_every_number_has_its_bounds() -> None:
    numbers = [
        field.name
        for field in msgspec.structs.fields(Settings)
        if re.search(r"\bint\b", str(field.type))
    ]
    assert sorted(numbers) == sorted(_BOUNDS)
    for field, (lowest, highest) in _BOUNDS.items():
        for value in (lowest, highest if highest is not None else 10**9):
            settings = Settings.from_environment({variable(field): str(value)})
            assert getattr(settings, field) == value
        for value in (lowest - 1, *([] if highest is None else [highest + 1])):
            with pytest.raises(SettingsError, match=rf"^{variable(field)} .*{value}"):
                Settings.from_environment({variable(field): str(value)})


def test_the_limit_of_a_body_grows_with_the_items_unless_it_is_set() -> None:
    def limit(**variables: str) -> int:
        return Settings.from_environment(variables).body_limit()

    assert limit(QRMILL_MAX_ITEMS="10") == 4 * 1024 * 1024
    assert limit(QRMILL_MAX_ITEMS="100000") == 102_400_000
    assert limit(QRMILL_MAX_ITEMS="100000", QRMILL_MAX_BODY_BYTES="2048") == 2048
    with pytest.raises(SettingsError, match="QRMILL_MAX_BODY_BYTES"):
        limit(QRMILL_MAX_BODY_BYTES="1023")


def test_callback_networks_are_separated_by_spaces_or_commas() -> None:
    settings = Settings.from_environment(
        {"QRMILL_CALLBACK_HTTP": "true", "QRMILL_CALLBACK_NETWORKS": "10.0.0.0/8, fd00::/8 ::1"}
    )
    rules = callback_rules(settings)
    assert rules.http
    assert [str(network) for network in rules.networks] == ["10.0.0.0/8", "fd00::/8", "::1/128"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QRMILL_REDIS_URL", "http://:hunter2@127.0.0.1:1/0"),
        ("QRMILL_BROKER_URL", "http://user:hunter2@127.0.0.1"),
        ("QRMILL_BROKER_URL", "amqp://user:hunter2@127.0.0.1/%2F?heartbeat=hunter2"),
        ("QRMILL_BROKER_URL", "amqps://user:hunter2@127.0.0.1/%2F?ssl_options={hunter2"),
        ("QRMILL_BROKER_URL", "amqp://user:12?hunter2=@127.0.0.1/%2F"),
        ("QRMILL_LINK_BASE", "https://user:hunter2@id.gs1.org"),
        ("QRMILL_LINK_BASE", "https://user:hunter2@id.gs1.org/" + "x" * 500),
    ],
)
def test_a_password_in_a_wrong_url_is_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_environment({name: value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("heartbeat", "often"), ("ssl_options", "{'cafile': '/none'}"), ("x", "1")]
)
def test_a_parameter_that_pika_does_not_take_is_named(name: str, value: str) -> None:
    query = urlencode({"locale": "en_US", name: value})
    reason = rf"QRMILL_BROKER_URL .* rejects the parameter '{name}'"
    with pytest.raises(SettingsError, match=reason):
        Settings.from_environment({"QRMILL_BROKER_URL": f"amqps://host/%2F?{query}"})


def test_no_secret_is_in_the_representation() -> None:
    settings = Settings.from_environment(
        {
            "QRMILL_S3_ACCESS_KEY_ID": "id",
            "QRMILL_S3_SECRET_ACCESS_KEY": "hunter2",
            "QRMILL_REDIS_URL": "redis://:hunter3@127.0.0.1",
        }
    )
    assert "hunter" not in repr(settings)


def test_a_key_of_s3_comes_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("worker\n")
    (tmp_path / "secret").write_text("hunter2\n")
    settings = Settings.from_environment(
        {
            "QRMILL_S3_ACCESS_KEY_ID_FILE": str(tmp_path / "id"),
            "QRMILL_S3_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret"),
        }
    )
    assert (settings.s3_access_key_id, settings.s3_secret_access_key) == ("worker", "hunter2")


def test_a_url_with_a_password_comes_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "redis-url"
    path.write_text("rediss://:hunter2@redis:6379/0\n")
    settings = Settings.from_environment({"QRMILL_REDIS_URL_FILE": str(path)})
    assert settings.redis_url == "rediss://:hunter2@redis:6379/0"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff", "UTF-8"), (b" \n", "empty"), (b"http://:hunter2@x", "redis://")],
)
def test_a_file_without_a_value_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "redis-url"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"QRMILL_REDIS_URL.*{reason}") as caught:
        Settings.from_environment({"QRMILL_REDIS_URL_FILE": str(path)})
    assert "hunter2" not in str(caught.value)


def test_a_value_is_given_once() -> None:
    both = {"QRMILL_REDIS_URL": "redis://a", "QRMILL_REDIS_URL_FILE": "/b"}
    with pytest.raises(SettingsError, match="QRMILL_REDIS_URL and QRMILL_REDIS_URL_FILE"):
        Settings.from_environment(both)


def test_a_mistyped_variable_is_told_with_the_nearest_one() -> None:
    (sentence,) = unknown_variables({"QRMILL_CHUNKSIZE": "1", "QRMILL_URL": "x", "PATH": "y"})
    assert "QRMILL_CHUNKSIZE" in sentence
    assert "QRMILL_CHUNK_SIZE" in sentence


def test_the_page_has_every_setting_with_its_default_and_description() -> None:
    page = CONFIGURATION.read_text("utf-8")
    rows = re.findall(r"^\| `(QRMILL_\w+)` \| (.*?) ?\| (.*) \|$", page, re.MULTILINE)
    documented = {name: (default, meaning) for name, default, meaning in rows}
    assert len(documented) == len(rows)
    assert documented == {
        variable(field.name): (shown_default(field.default), description(field))
        for field in msgspec.structs.fields(Settings)
    }


def shown_default(default: object) -> str:
    """Return a default as the environment has it; one that is empty is nothing in a table."""
    match default:
        case None | "":
            return ""
        case bool():
            return f"`{str(default).lower()}`"
    return f"`{default}`"


def description(field: msgspec.structs.FieldInfo) -> str:
    match msgspec.inspect.type_info(field.type):
        case msgspec.inspect.Metadata(extra_json_schema={"description": str(found)}):
            return found
    raise AssertionError(field.name)
