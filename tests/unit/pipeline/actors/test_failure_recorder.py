import pytest
from dramatiq.middleware import TimeLimitExceeded

from pipeline.actors.failure_recorder import error_code
from pipeline.errors import (
    EnqueueError,
    ObjectMissingError,
    StoreUnavailableError,
    UnverifiedError,
)
from pipeline.model.failure_reasons import FAILS_NO_JOB, REASONS
from pipeline.monitoring.ledger_metrics import OUTCOMES


@pytest.mark.parametrize(
    ("actor", "error", "code"),
    [
        ("render_chunk", StoreUnavailableError("x"), "storage_unavailable"),
        ("bundle_job", ObjectMissingError("x"), "object_missing"),
        ("render_chunk", TimeLimitExceeded(), "time_limit"),
        ("render_chunk", EnqueueError("x"), "broker_unavailable"),
        ("bundle_job", EnqueueError("x"), "broker_unavailable"),
        ("render_chunk", ZeroDivisionError(), "render_failed"),
        ("bundle_job", ZeroDivisionError(), "bundle_failed"),
        ("render_chunk_express", UnverifiedError(1, "00001.png", "x", 1), "unverified"),
    ],
)
def test_every_error_has_a_code_with_a_reason(actor: str, error: BaseException, code: str) -> None:
    assert error_code(actor, error) == code
    assert REASONS[code]


def test_every_code_with_which_a_message_fails_a_job_is_an_outcome_of_its_own() -> None:
    assert REASONS.keys() - OUTCOMES == FAILS_NO_JOB
