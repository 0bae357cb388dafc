"""The line that is logged of every request."""

import falcon
import pytest
from falcon.testing import TestClient
from structlog.testing import capture_logs

from api.http.request_log import RequestLog

KEY_ID = "4f9k2m7q1x8z"
SECRET = "0123456789ABCDEFGHIJKLMNOPQRSTUVabcdef"


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/keys/qrmill_{KEY_ID}_{SECRET}/", f"/keys/qrmill_{KEY_ID}_…/"),
        (f"/keys/qrmill%5F{KEY_ID}%5F{SECRET}", f"/keys/qrmill_{KEY_ID}_…"),
        (
            f"/keys/qrmill_{KEY_ID}_{SECRET}x/webhook-secret/",
            f"/keys/qrmill_{KEY_ID}_…/webhook-secret/",
        ),
        (f"/keys/{KEY_ID}/", f"/keys/{KEY_ID}/"),
        (f"/keys/{SECRET}/", "/keys/…/"),
        (f"/keys/%30{SECRET[1:]}/", "/keys/…/"),
        (f"/{SECRET[:20]}/{SECRET[20:]}", "/…/…"),
        ("/qr/bulk/", "/qr/bulk/"),
    ],
)
def test_a_whole_key_in_a_path_is_not_logged_and_its_id_is(path: str, logged: str) -> None:
    client = TestClient(falcon.App(middleware=[RequestLog()]))
    with capture_logs() as lines:
        client.simulate_delete(path)
    (line,) = [each for each in lines if each["event"] == "request"]
    assert line["path"] == logged
    assert SECRET not in str(lines)
