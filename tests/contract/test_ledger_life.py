"""A job's life against the real ledger, by any sequence of what can happen to it.

Messages are delivered never, once, twice or late, also after they have failed for good; their dead
letters are put back, and fail again; attempts and claims die; the job is cancelled and re-run; its
callback is delivered, put off or given up; Redis loses everything. After every step the ledger
agrees with a model of it, and from wherever a life has got to, sweeping and delivering end it.
"""

import uuid
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, cast

import hypothesis
import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.factory import make_broker
from pipeline.broker.lanes import Lanes
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys
from pipeline.ledger.entries import NO_MORE_NOW, OF_NO_USE, ChunkWork
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import StagedChunk
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.records import Bundle, Result
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.settings import Settings
from pipeline.webhooks.schedule import Attempt, Callbacks
from tests.encoded import encoded
from tests.staged import BUNDLE_TIMES, CHUNK_TIMES

if TYPE_CHECKING:
    from pipeline.model.states import CallbackState, State

CHUNKS, CHUNK_SIZE, ITEMS = 3, 2, 5
HOUR, SOON, NOW_OR_PAST = 3_600_000, 60_000, -1
STAGED = StagedChunk(
    sha256="ab" * 32, bytes=100, rows_sha256="cd" * 32, rows_bytes=10, times=CHUNK_TIMES
)
BUNDLE = Bundle(bytes=1000, sha256="cd" * 32, expires_at=2_000_000_000, times=BUNDLE_TIMES)
CANCELLED = Failure("cancelled", "It was cancelled.", final=True)
chunks = st.integers(0, CHUNKS - 1)
leases = st.sampled_from([SOON, NOW_OR_PAST])


class Life(RuleBasedStateMachine):
    ledger: Ledger
    callbacks: Callbacks
    client: "redis.Redis"

    @initialize()
    def accept(self) -> None:
        self.client.flushall()
        request = JobRequest(
            gtin="09506000134352",
            items=encoded([Item()] * ITEMS, CHUNK_SIZE),
            format="svg",
            size=400,
            error_correction="M",
            link_base="https://id.gs1.org",
            callback_url="https://hooks.example.com/",
        )
        acceptance = Acceptance(str(uuid.uuid4()), "key", 1_795_000_000_000, None, "name")
        self.head = encode_head(request, acceptance)[0]
        self.task_id = self.head.task_id
        self.works: list[ChunkWork] = []
        self.staged: set[int] = set()
        self.failed: set[int] = set()
        #: Ids of the letters about each chunk and the bundle, and of all that open the job again.
        self.buried: defaultdict[str, list[str]] = defaultdict(list)
        self.letters: set[str] = set()
        self.holder: str | None = None  # of a claim that has not run out
        self.state: State = "pending"
        self.code: str | None = None
        self.removing = False
        self.result: Result | None = None
        self.unrecorded = False  # its end is one that S3 has to be told of
        self.past: list[int] = []  # when it ended
        self.attempts: list[Attempt] = []
        self.callback: CallbackState | None = None
        self.begun = 0  # attempts at the callback about this end
        self.message_id = ""  # of the last of them
        self.due = False
        self.ends: Counter[str] = Counter()
        self.seen: State = "pending"
        self.client.delete(keys.COUNTS)
        assert self.ledger.create_job(self.head, 1_795_000_000_000, 0, HOUR)

    def some_message(self, data: st.DataObject, about: str) -> str:
        """One of two messages about the same thing, or a letter of theirs, put back.

        Each may have failed for good, and come late or once more.
        """
        return data.draw(st.sampled_from([f"{about} one", f"{about} two", *self.buried[about]]))

    def bury(self, about: str) -> str:
        self.buried[about].append(f"{about} letter {len(self.buried[about])}")
        return self.buried[about][-1]

    @rule(data=st.data(), chunk=chunks, lease=leases)
    def deliver(self, data: st.DataObject, chunk: int, lease: int) -> None:
        self.begin(chunk, lease, self.some_message(data, f"chunk {chunk}"))

    def begin(self, chunk: int, lease: int, message_id: str) -> None:
        work = self.ledger.begin_chunk(self.task_id, chunk, lease, message_id)
        closed = self.closed()
        late = self.comes_late(chunk, message_id)
        assert (work is None) == (
            self.state == "completed" or closed or chunk in self.staged or late
        )
        if work is not None:
            self.works.append(work)
            if self.state == "pending":
                self.state = "running"

    @precondition(lambda self: self.works)
    @rule(data=st.data())
    def stage(self, data: st.DataObject) -> None:
        # It may be one of long ago, or done before.
        self.end_well(data.draw(st.sampled_from(self.works)))

    @rule()
    def render_all(self) -> None:
        """What mostly happens, and a walk at random seldom does."""
        for chunk in range(CHUNKS):
            self.begin(chunk, SOON, f"chunk {chunk} one")
            for work in [work for work in self.works if work.chunk_index == chunk][-1:]:
                self.end_well(work)

    def end_well(self, work: ChunkWork) -> None:
        left = self.ledger.stage_chunk(work, STAGED, HOUR)
        if self.state == "completed" or self.closed():
            assert left == OF_NO_USE
            return
        if self.comes_late(work.chunk_index, work.message_id):
            assert left == NO_MORE_NOW
            return
        self.staged.add(work.chunk_index)
        had_failed = work.chunk_index in self.failed
        self.failed.discard(work.chunk_index)
        if self.state == "pending":
            self.state = "running"
        if had_failed and not self.failed and self.state == "failed":
            self.state, self.code = "running", None
        assert left == (CHUNKS - len(self.staged) if self.state == "running" else -1)

    def closed(self) -> bool:
        return self.code == CANCELLED.code or self.removing

    def comes_late(self, chunk: int, message_id: str) -> bool:
        return chunk in self.failed and message_id not in self.letters

    @rule(data=st.data(), chunk=chunks)
    def fail_for_good(self, data: st.DataObject, chunk: int) -> None:
        message = self.some_message(data, f"chunk {chunk}")
        letter = self.bury(f"chunk {chunk}")
        failure = Failure(f"broken_{chunk}", "It broke.")
        self.ledger.fail_job(self.task_id, failure, chunk, letter, message)
        if chunk not in self.staged and self.state != "completed":
            self.failed.add(chunk)
            self.letters = self.letters - {message} | {letter}
            if self.state != "failed":
                self.state, self.code = "failed", f"broken_{chunk}"

    @rule(data=st.data())
    def fail_to_bundle(self, data: st.DataObject) -> None:
        message, letter = self.some_message(data, "bundle"), self.bury("bundle")
        failure = Failure("bundle_failed", "It broke.")
        self.ledger.fail_job(self.task_id, failure, None, letter, message)
        if self.state != "completed":
            self.letters = self.letters - {message} | {letter}
        if self.state in {"pending", "running"}:
            self.state, self.code = "failed", "bundle_failed"

    @rule()
    def cancel(self) -> None:
        failed = self.ledger.fail_job(self.task_id, CANCELLED)
        won = failed is not None and failed.error_code == CANCELLED.code
        if self.state in {"pending", "running"}:
            self.state, self.code, self.staged = "failed", CANCELLED.code, set()
            self.result = Result(
                state="failed", finished_at=1, error=CANCELLED.detail, error_code=CANCELLED.code
            )
            self.unrecorded = True
        assert won == (self.code == CANCELLED.code)

    @rule()
    def retry(self) -> None:
        opened = self.ledger.retry_job(self.task_id, HOUR)
        if self.state != "failed" or self.removing:
            assert opened is None
            return
        assert opened == [chunk for chunk in range(CHUNKS) if chunk not in self.staged]
        self.state, self.code, self.failed = "pending" if opened else "running", None, set()
        self.result, self.unrecorded = None, True  # a record of before may come late

    @rule(data=st.data(), claimant=st.sampled_from(["a", "b"]), lease=leases, dies=st.booleans())
    def build(self, data: st.DataObject, claimant: str, lease: int, *, dies: bool) -> None:
        message = self.some_message(data, "bundle")
        claimed = self.ledger.claim_bundle(self.task_id, claimant, lease, HOUR, message)
        whole = len(self.staged) == CHUNKS
        open_again = whole and not self.closed() and not self.failed
        if open_again and self.state == "failed" and message in self.letters:
            self.state, self.code = "running", None  # a bundling's letter, put back by hand
            self.forget_callback()
        whole = whole and self.state == "running"
        assert (claimed is not None) == (whole and self.holder in {None, claimant})
        if claimed is not None:
            self.holder = claimant if lease == SOON else None
        if claimed is None or dies:
            return
        if self.ledger.complete_job(self.task_id, claimant, BUNDLE) is not None:
            assert whole
            self.state = "completed"
            self.result = Result(state="completed", finished_at=1, bundle=BUNDLE)
            self.unrecorded = True

    @precondition(lambda self: self.past)
    @rule(late=st.booleans())
    def tell_s3_of_the_end(self, *, late: bool) -> None:
        current = self.status().finished_at
        told = self.past[0] if late else current
        assert self.ledger.note_record(self.task_id, told) == (told == current)
        self.unrecorded = told != current

    @precondition(lambda self: self.state in {"completed", "failed"})
    @rule()
    def outlive_its_time(self) -> None:
        found = self.ledger.claim_expired(HOUR * 1_000_000, 10)
        assert found == [(self.task_id, self.state, "key")]
        self.removing = True

    @rule()
    def lose_everything_and_come_back(self) -> None:
        self.client.flushall()
        self.works = []
        if self.result is not None:
            assert self.ledger.restore_job(self.head, 0, self.result)
        else:
            assert self.ledger.create_job(self.head, 1_795_000_000_000, 0, HOUR)
            self.state, self.code = "pending", None
        self.failed, self.letters, self.holder, self.attempts = set(), set(), None, []
        self.staged = set(range(CHUNKS)) if self.state == "completed" else set()
        self.ends, self.seen = Counter(), self.state
        self.unrecorded = self.removing = False
        self.forget_callback()  # it comes back with the job's end

    @rule(lease=leases, message_id=st.sampled_from(["announced", "nudged"]))
    def begin_to_call_back(self, lease: int, message_id: str) -> None:
        attempt = self.callbacks.claim(self.task_id, lease, message_id)
        put_back = self.callback == "failed" and message_id == self.message_id
        possible = put_back or (self.callback == "pending" and self.due)
        assert (attempt is not None) == possible
        if attempt is not None:
            self.begun, self.message_id = self.begun + 1, message_id
            assert attempt.number == self.begun
            self.attempts.append(attempt)
            self.callback, self.due = "pending", lease == NOW_OR_PAST

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), end=st.sampled_from(["delivered", "put off", "given up"]))
    def end_to_call_back(self, data: st.DataObject, end: str) -> None:
        attempt = data.draw(st.sampled_from(self.attempts))  # it may be one about an end before
        current = attempt.event == self.status().callback_event
        if end == "delivered":
            counts = current and self.callback != "delivered"
            assert self.callbacks.delivered(attempt) == counts
            self.callback = "delivered" if counts else self.callback
            return
        counts = current and self.callback == "pending" and attempt.number == self.begun
        if end == "put off":
            assert self.callbacks.reschedule(attempt, "answered 500", NOW_OR_PAST) == counts
            self.due = self.due or counts
        else:
            assert self.callbacks.fail(attempt, "answered 410") == counts
            self.callback = "failed" if counts else self.callback

    def forget_callback(self) -> None:
        self.callback, self.begun, self.due = None, 0, False

    @precondition(lambda self: self.state == "failed")
    @rule()
    def let_the_deadline_pass(self) -> None:
        self.client.hset(keys.job(self.task_id), "deadline_at", 1)

    @invariant()
    def a_job_in_flight_has_time_left(self) -> None:
        """However late it was when it was opened again."""
        if self.state in {"pending", "running"}:
            deadline_at = self.client.hget(keys.job(self.task_id), "deadline_at")
            assert deadline_at is not None
            assert int(deadline_at) > 1

    @invariant()
    def a_job_that_has_ended_has_a_callback(self) -> None:
        if self.state not in {"completed", "failed"}:
            self.forget_callback()
        elif self.callback is None:
            self.callback, self.begun, self.due = "pending", 0, True
        found = self.status()
        assert (found.callback_state, found.callback_attempts) == (self.callback, self.begun)
        awaited = self.client.zscore(keys.CALLBACKS, self.task_id) is not None
        assert awaited == (self.callback == "pending")

    def status(self) -> JobStatus:
        found = self.ledger.status(self.task_id)
        assert found is not None
        return found

    @invariant()
    def only_a_running_job_is_claimed(self) -> None:
        if self.state != "running":
            self.holder = None
            assert not self.client.hexists(keys.job(self.task_id), "claim_owner")

    @invariant()
    def the_ledger_is_what_the_model_says(self) -> None:
        found = self.status()
        assert (found.state, found.error_code) == (self.state, self.code)
        assert (found.staged, found.failed) == (len(self.staged), len(self.failed))
        items = sum(CHUNK_SIZE if chunk < CHUNKS - 1 else 1 for chunk in self.staged)
        assert found.processed_items == items
        assert (found.bundle is not None) == (self.state == "completed")
        assert (found.finished_at is not None) == (self.state in {"completed", "failed"})

    @invariant()
    def an_end_for_good_is_marked_until_s3_knows_of_it(self) -> None:
        marked = self.client.zscore(keys.UNRECORDED, self.task_id) is not None
        assert marked == self.unrecorded
        if (finished_at := self.status().finished_at) is not None:
            self.past.append(finished_at)

    @invariant()
    def it_is_in_one_index(self) -> None:
        in_flight = self.task_id in self.client.zrange(keys.ACTIVE_JOBS, 0, -1)
        ended = self.task_id in self.client.zrange(keys.ENDED_JOBS, 0, -1)
        assert in_flight == (self.state in {"pending", "running"})
        assert ended == (self.state in {"completed", "failed"})

    @invariant()
    def every_end_is_counted_once(self) -> None:
        if self.state != self.seen and self.state in {"completed", "failed"}:
            self.ends[self.code or "completed"] += 1
        self.seen = self.state
        counts = cast("dict[str, str]", self.client.hgetall(keys.COUNTS))
        jobs = {name: int(count) for name, count in counts.items() if name.startswith("jobs ")}
        assert jobs == {f"jobs {self.head.format} {code}": n for code, n in self.ends.items()}

    def teardown(self) -> None:
        """From anywhere: the sweep says what is missing, that is delivered, and the job ends."""
        for _ in range(2 * CHUNKS + 2):
            need, lost = self.ledger.diagnose_job(
                self.task_id, NOW_OR_PAST, NOW_OR_PAST, queues_empty=True
            )
            if need == "ended":
                break
            for chunk in lost:
                work = self.ledger.begin_chunk(self.task_id, chunk, SOON)
                if work is not None:
                    self.ledger.stage_chunk(work, STAGED, HOUR)
            self.expire_what_dead_ones_hold()
            if self.ledger.claim_bundle(self.task_id, "last", SOON, HOUR):
                self.ledger.complete_job(self.task_id, "last", BUNDLE)
        assert self.status().state in {"completed", "failed"}
        assert self.status().callback_state is not None

    def expire_what_dead_ones_hold(self) -> None:
        if self.client.hexists(keys.job(self.task_id), "claim_until"):
            self.client.hset(keys.job(self.task_id), "claim_until", 0)
        for chunk in self.client.hkeys(keys.leases(self.task_id)):
            self.client.hset(keys.leases(self.task_id), chunk, 0)


@pytest.fixture
def life(ledger: Ledger, settings: Settings) -> type[Life]:
    Life.ledger = ledger
    Life.client = redis.Redis.from_url(settings.redis_url, decode_responses=True)
    broker = make_broker(settings, redis.Redis.from_url(settings.redis_url))
    Life.callbacks = Callbacks(
        Life.client, Dispatcher(broker, Lanes(Life.client)), RedisQueues(Life.client)
    )
    return Life


def test_whatever_happens_the_ledger_holds_and_the_job_ends(life: type[Life]) -> None:
    test_case = life.TestCase
    test_case.settings = hypothesis.settings(
        max_examples=150,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    test_case("runTest").runTest()
    life.client.close()
