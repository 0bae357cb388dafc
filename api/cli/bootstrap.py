"""``qrmill keys create --bootstrap``: writes the first operator key to S3 without the API."""

import os

import msgspec

from api.cli.output import UsageError
from api.client import NewKeyRequest, NewKeyResponse, QrmillError
from api.presenters import new_key_response
from pipeline.service import (
    Settings,
    SettingsError,
    StoreUnavailableError,
    UnknownTenantError,
    open_service,
)


def create_first_key(wanted: NewKeyRequest) -> NewKeyResponse:
    """Create a key in S3 directly, using the service's own QRMILL_ variables.

    Raises:
        UsageError: the environment or the request is invalid.
        QrmillError: S3 is unavailable.
    """
    try:
        service = open_service(Settings.from_environment(os.environ))
        made = service.api_keys.create(**msgspec.structs.asdict(wanted))
    except (SettingsError, ValueError, UnknownTenantError) as error:
        raise UsageError(f"The key was not created: {error}.") from None
    except StoreUnavailableError as error:
        raise QrmillError(f"The key was not created: {error}.") from None
    made_key = new_key_response(made.key, made.token)
    return msgspec.convert(made_key, NewKeyResponse, from_attributes=True)
