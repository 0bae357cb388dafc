"""Which advice belongs to an error of S3."""

import pytest

from pipeline.doctor.s3_advice import advice_on
from pipeline.errors import StoreUnavailableError
from pipeline.settings import Settings

OTHERWISE = "Check the network."
NAMES = "QRMILL_S3_ADDRESSING_STYLE"


@pytest.mark.parametrize(
    ("code", "style", "named"),
    [
        ("EndpointConnectionError", "virtual", True),
        ("EndpointConnectionError", "path", False),
        ("EndpointConnectionError", "auto", False),
        ("ConnectTimeoutError", "virtual", False),
    ],
)
def test_only_a_virtual_host_that_is_not_found_may_be_a_matter_of_the_address(
    code: str, style: str, *, named: bool
) -> None:
    settings = Settings(redis_url="redis://localhost", s3_addressing_style=style)  # type: ignore[arg-type]
    advice = advice_on(StoreUnavailableError("away", code), settings, OTHERWISE)
    assert advice.startswith(OTHERWISE)
    assert (NAMES in advice) == named
