"""Where download URLs lead to; nothing is sent."""

import msgspec

from pipeline.settings import Settings
from pipeline.storage.clients import open_storage

SETTINGS = Settings(s3_access_key_id="id", s3_secret_access_key="secret")


def test_without_an_endpoint_the_region_has_its_own_in_us_east_1_too() -> None:
    for region in ("us-east-1", "eu-west-3"):
        there = msgspec.structs.replace(SETTINGS, s3_region=region)
        storage = open_storage(there, read_timeout=5)
        url = storage.public_bucket.presign("key", seconds=60, filename="x.zip")
        assert url.startswith(f"https://qrmill.s3.{region}.amazonaws.com/key?")


def test_at_aws_the_bucket_stands_in_the_path_when_it_has_to() -> None:
    for changes in ({"bucket": "a.b"}, {"s3_addressing_style": "path"}):
        there = msgspec.structs.replace(SETTINGS, s3_region="eu-west-3", **changes)
        storage = open_storage(there, read_timeout=5)
        url = storage.public_bucket.presign("key", seconds=60, filename="x.zip")
        assert url.startswith(f"https://s3.eu-west-3.amazonaws.com/{there.bucket}/key?")


def test_urls_have_the_address_of_clients_with_the_bucket_where_it_belongs() -> None:
    for style, address in (
        ("auto", "https://files.example/qrmill/key?"),
        ("virtual", "https://qrmill.files.example/key?"),
    ):
        public = msgspec.structs.replace(
            SETTINGS, s3_public_endpoint_url="https://files.example", s3_addressing_style=style
        )
        storage = open_storage(public, read_timeout=5)
        url = storage.public_bucket.presign("key", seconds=60, filename="x.zip")
        assert url.startswith(address)
