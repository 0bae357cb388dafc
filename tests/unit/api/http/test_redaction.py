"""What may be an API key is neither logged nor sent back."""

import random
import string

import pytest

from api.http.redaction import may_be_api_key, redact_path

TASK = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
KEY_ID = "4f9k2m7q1x8z"
IMPORTED = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/healthz",
        "/qr/bulk/",
        f"/qr/bulk/{TASK}/",
        f"/products/api/v1/qr/bulk/{TASK}/chunks/",
        f"/qr/bulk/{TASK.upper()}/retry",
        f"/ops/jobs/{TASK}/symbols/12",
        f"/keys/{KEY_ID}/webhook-secret/",
        "/keys/self/webhook-secret/",
        "/keys/import/",
        "/docs/swagger-ui-bundle.js",
        "/wp-login.php",
    ],
)
def test_paths_of_the_service_are_logged_as_they_are(path: str) -> None:
    assert redact_path(path) == path


@pytest.mark.parametrize(
    ("path", "redacted"),
    [
        (f"/keys/{IMPORTED}/", "/keys/…/"),
        (f"/{IMPORTED}", "/…"),
        (f"/qr/bulk/{IMPORTED}/chunks/", "/qr/bulk/…/chunks/"),
        (f"/keys/{TASK}/", "/keys/…/"),  # a UUID may be an imported token too
        (f"/keys/{TASK.replace('-', '')}/", "/keys/…/"),
        (f"/qr/bulk/{TASK}x/", "/qr/bulk/…/"),
        ("/keys/Zm9v/YmFy+ZGF/0YQ==/rotate/", "/keys/…/…/…/rotate/"),
        (f"/keys/{IMPORTED[:20]}/{IMPORTED[20:]}", "/keys/…/…"),
        (f"/keys/qrmill_{KEY_ID}_secret", f"/keys/qrmill_{KEY_ID}_…"),
        (f"/keys/qrmill_{KEY_ID}_0123abc/rotate/", f"/keys/qrmill_{KEY_ID}_…/rotate/"),
        (f"//{IMPORTED}//", "//…//"),
        ("/keys/a b/", "/keys/…/"),
    ],
)
def test_a_segment_that_may_be_a_key_is_hidden(path: str, redacted: str) -> None:
    assert redact_path(path) == redacted


def test_hardly_a_part_of_a_random_token_of_base64_is_left_in_a_path() -> None:
    draw = random.Random(1)
    alphabet = string.ascii_letters + string.digits + "+/"
    for _ in range(2000):
        token = "".join(draw.choices(alphabet, k=43))
        left = redact_path(f"/keys/{token}/rotate/").removeprefix("/keys/").removesuffix("/rotate/")
        # Between two slashes, some characters may all be lower-case by chance.
        assert len(left.replace("/", "").replace("…", "")) <= 12


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        (IMPORTED, True),
        (f"qrmill_{KEY_ID}_x", True),
        ("x" * 32, True),
        ("x" * 31, False),
        ("a shop whose name is long enough to be one", False),
        ("Größenwahn-Druckerei-und-Verlagsgesellschaft", False),
        (KEY_ID, False),
        ("", False),
    ],
)
def test_what_may_be_a_key_is_known(text: str, *, may_be: bool) -> None:
    assert may_be_api_key(text) == may_be
