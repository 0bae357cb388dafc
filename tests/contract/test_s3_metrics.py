"""What is counted of calls to S3: by the calls themselves, on a real server and on none."""

import msgspec
import pytest

from deploy.embedded.ports import free_port
from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage.clients import open_storage
from pipeline.storage.metrics import S3Metrics
from pipeline.storage.multipart_upload import Upload


class Counted:
    """A bucket whose calls are counted."""

    def __init__(self, settings: Settings) -> None:
        storage = open_storage(settings, read_timeout=5)
        self.metrics = S3Metrics()
        self.metrics.watch(storage.client)
        self.bucket = storage.bucket

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"qrmill_s3_{name}", labels)

    def calls(self, operation: str, outcome: str) -> float | None:
        return self("calls_total", operation=operation, outcome=outcome)


def test_calls_bytes_and_times_by_operation(settings: Settings) -> None:
    counted = Counted(settings)
    counted.bucket.put("key", b"0123456789")
    assert counted.bucket.get("key", 0, 4) == b"0123"
    part = 5 * 1024 * 1024
    counted.bucket.upload("large", Upload([bytes(part), b"x" * 1000], part, lambda: True))
    calls = {"PutObject": 1, "GetObject": 1, "UploadPart": 2, "CompleteMultipartUpload": 1}
    for operation, number in calls.items():
        assert counted.calls(operation, "ok") == number
        assert counted("call_seconds_count", operation=operation) == number
    assert counted("bytes_total", operation="PutObject", direction="sent") == 10
    assert counted("bytes_total", operation="UploadPart", direction="sent") == part + 1000
    assert counted("bytes_total", operation="GetObject", direction="received") == 4
    assert counted("bytes_total", operation="GetObject", direction="sent") == 0


def test_what_is_not_there_is_no_error_of_the_store(settings: Settings) -> None:
    counted = Counted(settings)
    with pytest.raises(ObjectMissingError):
        counted.bucket.get("nothing")
    assert counted.calls("GetObject", "missing") == 1
    assert counted.calls("GetObject", "failed") == counted.calls("GetObject", "unreachable") == 0


def test_a_refusal_and_a_server_that_is_away_are_told_apart(settings: Settings) -> None:
    wrong = Counted(msgspec.structs.replace(settings, s3_secret_access_key="wrong"))
    with pytest.raises(StoreUnavailableError):
        wrong.bucket.put("key", b"x")
    assert wrong.calls("PutObject", "refused") == 1
    nowhere = f"http://127.0.0.1:{free_port()}"
    away = Counted(msgspec.structs.replace(settings, s3_endpoint_url=nowhere))
    with pytest.raises(StoreUnavailableError):
        away.bucket.put("key", b"x")
    assert away.calls("PutObject", "unreachable") == 1
    assert away("retries_total", operation="PutObject") == 2  # three attempts


def test_signing_a_url_is_no_call(settings: Settings) -> None:
    counted = Counted(settings)
    counted.bucket.presign("key", seconds=60, filename="a.zip")
    families = counted.metrics.registry.collect()
    assert [sample for family in families for sample in family.samples] == []
