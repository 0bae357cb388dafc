"""Errors of boto3 that come from credentials."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import RefreshableCredentials

from pipeline.errors import StoreUnavailableError
from pipeline.storage.errors import translated


def test_credentials_that_stay_expired_make_the_store_unavailable() -> None:
    expired = {
        "access_key": "id",
        "secret_key": "secret",
        "token": "token",
        "expiry_time": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    }
    credentials = RefreshableCredentials.create_from_metadata(
        expired, refresh_using=lambda: expired, method="test"
    )
    with pytest.raises(StoreUnavailableError, match="the credentials have expired"), translated():
        credentials.get_frozen_credentials()


def test_another_runtime_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"), translated():
        raise RuntimeError("something else")
