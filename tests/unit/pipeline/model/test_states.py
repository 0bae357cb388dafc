import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.jobs import parse_task_id
from pipeline.model.states import TERMINAL, TRANSITIONS, Event, State

STATES: tuple[State, ...] = ("pending", "running", "completed", "failed")
EVENTS: tuple[Event, ...] = ("begin", "complete", "fail", "reopen", "retry")

#: The whole table, written out once more by hand: rows are states, columns events.
TABLE = {
    "pending": ("running", "pending", "failed", "pending", "pending"),
    "running": ("running", "completed", "failed", "running", "running"),
    "completed": ("completed", "completed", "completed", "completed", "completed"),
    "failed": ("failed", "failed", "failed", "running", "pending"),
}


def transition(state: State, event: Event) -> State:
    """Return the state that follows, as the ledger's scripts read the table."""
    return TRANSITIONS.get((state, event), state)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_every_state_and_event_leads_where_the_table_says(state: State, event: Event) -> None:
    assert transition(state, event) == TABLE[state][EVENTS.index(event)]


@given(st.lists(st.sampled_from(EVENTS), max_size=20))
def test_a_completed_job_stays_completed_whatever_comes(events: list[Event]) -> None:
    state: State = "completed"
    for event in events:
        state = transition(state, event)
    assert state == "completed"


def test_only_a_failed_job_can_be_opened_again() -> None:
    left = {(state, event) for state, event in TRANSITIONS if state in TERMINAL}
    assert left == {("failed", "reopen"), ("failed", "retry")}


@given(st.uuids())
def test_a_canonical_uuid_is_a_task_id_in_either_case(value: uuid.UUID) -> None:
    assert parse_task_id(str(value).upper()) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "7d2a4f0e6c1b4a399d0e2f5c8b1a7e63",
        "{7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63}",
        "urn:uuid:7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63",
        "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63\n",
        "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e6٣",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_task_id(text)
