"""The ledger: what the service knows of jobs, in Redis, every step one atomic script.

Each step can be repeated, by the same process or another, and do no harm: a chunk is staged once
however often it is reported, a job ends once, and one bundler at a time holds the claim.
"""

from typing import Any, cast

import msgspec
import redis

from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.entries import (
    ChunkWork,
    Diagnosis,
    ExpiredJob,
    flat_fields,
    flat_ranges,
    job_fields,
    keys_of,
    parts_of,
    status_of,
    version_of,
)
from pipeline.ledger.scripts import Scripts
from pipeline.model.chunks import StagedChunk
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import JobStatus
from pipeline.model.records import Bundle, CallbackRecord, JobFields, RequestHead, Result
from pipeline.model.versions import is_newer, refuse_newer


class Ledger:
    """The ledger's steps. Times are in milliseconds.

    Every method raises:
        LedgerUnavailableError: Redis is out of reach.
    """

    def __init__(self, client: redis.Redis) -> None:
        """Take a Redis client that decodes responses; nothing is sent yet."""
        self._client = client
        self._run = Scripts(client).run

    def create_job(
        self, head: RequestHead, created_at: int, head_bytes: int, deadline: int
    ) -> bool:
        """Enter an accepted job; False if it is there already.

        Args:
            head: of the request object.
            created_at: since the epoch.
            head_bytes: size of the head as it stands in the object, where the items' ranges begin.
            deadline: how long from now the job may take.
        """
        task_id = head.task_id
        fields = flat_fields(head)
        ranges = flat_ranges(head, head_bytes)
        names = [keys.job(task_id), keys.ranges(task_id), keys.ACTIVE_JOBS]
        names += [keys.jobs_of(head.key_id), keys.ALL_JOBS]
        arguments = [task_id, created_at, deadline, len(fields) // 2, *fields, *ranges]
        return bool(self._run("create_job", names, *arguments))

    def restore_job(
        self,
        head: RequestHead,
        head_bytes: int,
        result: Result,
        callback: CallbackRecord | None = None,
    ) -> bool:
        """Enter a job that has ended, from its records; False if it is there already.

        One that is there as a job in flight has lost its end, and gets it back.
        """
        fields = [*flat_fields(head), "state", result.state]
        if result.bundle is not None:
            fields += ["bundle", msgspec.json.encode(result.bundle).decode()]
            fields += ["processed_items", head.items]
        else:
            fields += ["processed_items", 0, "closed", 1, "error", result.error or ""]
            fields += ["error_code", result.error_code or ""]
        if callback is not None and callback.is_about(result):
            fields += callback.fields()
        names = [keys.job(head.task_id), keys.ranges(head.task_id), keys.ENDED_JOBS]
        names += [keys.jobs_of(head.key_id), keys.ALL_JOBS, keys.CALLBACKS]
        names += [keys.ACTIVE_JOBS, keys.ENDED, keys.COUNTS, keys.letters(head.task_id)]
        names += parts_of(head.task_id)[1:]
        arguments: list[str | int] = [head.task_id, head.created_at]
        arguments.append(result.finished_at)
        arguments += [len(fields) // 2, *fields, *flat_ranges(head, head_bytes)]
        return bool(self._run("restore_job", names, *arguments))

    def discard_job(self, task_id: str, key_id: str) -> None:
        """Forget a job that could not be enqueued, or that outlived its time."""
        indexes = [keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.jobs_of(key_id)]
        indexes += [keys.ALL_JOBS, keys.CALLBACKS, keys.UNRECORDED]
        self._run("discard_job", [*indexes, *keys_of(task_id)], task_id)

    def status(self, task_id: str) -> JobStatus | None:
        """Return what is known of a job, or None.

        Raises:
            NewerVersionError: its entry is of a version that this release does not read.
        """
        for fields, staged, failed in self._entries([task_id]):
            refuse_newer(version_of(fields), f"the ledger entry of {task_id}")
            return status_of(fields, staged, failed)
        return None

    def statuses(self, task_ids: list[str]) -> list[JobStatus]:
        """Return what is known of some jobs, in their order, in one round trip.

        Those whose entry is of a version that this release does not read are left out.
        """
        found = self._entries(task_ids) if task_ids else []
        return [status_of(*entry) for entry in found if not is_newer(version_of(entry[0]))]

    def states(self, task_ids: list[str]) -> list[str | None]:
        """Return the states of some jobs, None for one that is unknown, by one command.

        They may be of jobs of a newer release, and ones that this release does not know.
        """
        found = self._run("job_states", [keys.job(task_id) for task_id in task_ids])
        return cast("list[str | None]", found)

    def _entries(self, task_ids: list[str]) -> list[tuple[dict[str, Any], int, int]]:
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.hgetall(keys.job(task_id))
                pipe.hlen(keys.staged(task_id))
                pipe.hlen(keys.failures(task_id))
            found = pipe.execute()
        entries = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [entry for entry in entries if entry[0]]

    def begin_chunk(
        self, task_id: str, chunk_index: int, lease: int, message_id: str = ""
    ) -> ChunkWork | None:
        """Count a delivery of a chunk and return the work, or None when there is nothing to do.

        A chunk that failed for good is begun again by its dead letter, put back by hand, and by no
        message that only came late or once more.
        """
        families = (
            keys.job,
            keys.ranges,
            keys.staged,
            keys.attempts,
            keys.leases,
            keys.handled_errors,
            keys.failures,
            keys.letters,
        )
        names = [family(task_id) for family in families]
        reply = self._run("begin_chunk", names, chunk_index, lease, message_id)
        if not reply:
            return None
        attempt, byte_range, fields = reply
        offset, length = map(int, byte_range.split())
        return ChunkWork(job_fields(fields), chunk_index, message_id, attempt, offset, length)

    def renew_chunk(self, task_id: str, chunk_index: int, lease: int) -> None:
        """Keep a chunk that is being worked on for another ``lease``."""
        names = [keys.job(task_id), keys.leases(task_id)]
        self._run("renew_chunk", names, chunk_index, lease)

    def stage_chunk(self, work: ChunkWork, staged: StagedChunk, deadline: int) -> int:
        """Record a staged chunk; a failed job may be open again by this, and gets ``deadline``.

        Returns:
            How many chunks are left; :data:`NO_MORE_NOW` when the job waits for something else;
            :data:`OF_NO_USE` when what was staged can be removed.
        """
        task_id = work.job.task_id
        names = [keys.job(task_id), keys.staged(task_id), keys.failures(task_id)]
        names += [keys.leases(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.DRAINED]
        names += [keys.CALLBACKS, keys.MINUTES, keys.letters(task_id)]
        value = msgspec.json.encode(staged).decode()
        arguments = (
            work.chunk_index,
            value,
            work.item_count,
            task_id,
            deadline,
            work.message_id,
        )
        return int(self._run("stage_chunk", names, *arguments))

    def record_attempt_error(self, task_id: str, chunk_index: int, failure: Failure) -> None:
        """Record the error with which an attempt ended, so that it does not count as a crash."""
        names = [keys.attempts(task_id), keys.handled_errors(task_id), keys.errors(task_id)]
        self._run("record_attempt_error", names, chunk_index, failure.code, failure.detail)

    def unstage_chunk(self, job: JobFields, chunk_index: int, claimant: str) -> bool:
        """Forget that a chunk is staged, because what lies there is not what was recorded.

        False: ``claimant`` has lost the claim, and whoever has it judges for itself.
        """
        count = min(job.chunk_size, job.items - chunk_index * job.chunk_size)
        names = [keys.job(job.task_id), keys.staged(job.task_id)]
        return bool(self._run("unstage_chunk", names, chunk_index, count, claimant))

    def fail_job(
        self,
        task_id: str,
        failure: Failure,
        chunk_index: int | None = None,
        letter_id: str = "",
        message_id: str = "",
    ) -> Result | None:
        """Fail a job, because a chunk failed for good, or for another reason.

        Args:
            task_id: the job.
            failure: what to tell of it.
            chunk_index: of the chunk that failed.
            letter_id: of the dead letter about it; put back, it opens the job again.
            message_id: that the letter had as a message; what comes again under it opens nothing.

        Returns:
            How the job has failed, by this or before; None when it is unknown or has not failed.
        """
        chunk = "" if chunk_index is None else chunk_index
        closed = "closed" if failure.final else ""
        arguments = (
            task_id,
            failure.code,
            failure.detail,
            chunk,
            closed,
            letter_id,
            message_id,
        )
        names = [*parts_of(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS]
        names += [keys.ENDED, keys.CALLBACKS, keys.COUNTS, keys.MINUTES, keys.letters(task_id)]
        names += [keys.UNRECORDED]
        reply = self._run("fail_job", names, *arguments)
        if not reply:
            return None
        code, error, finished_at = reply
        return Result(state="failed", finished_at=int(finished_at), error=error, error_code=code)

    def retry_job(self, task_id: str, deadline: int) -> list[int] | None:
        """Open a failed job again; return the chunks to render, or None if it has not failed.

        Nor is one opened that is being removed.
        """
        names = [*parts_of(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.CALLBACKS]
        names += [keys.UNRECORDED]
        reply = self._run("retry_job", names, task_id, deadline)
        return reply[1:] if reply else None

    def claim_bundle(
        self, task_id: str, claimant: str, lease: int, deadline: int, message_id: str = ""
    ) -> JobFields | None:
        """Claim the bundling for ``lease``; None when there is nothing to be done.

        A job whose bundling had failed for good is opened again by its dead letter, put back by
        hand, and gets ``deadline``.
        """
        names = [keys.job(task_id), keys.staged(task_id), keys.failures(task_id)]
        names += [keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.CALLBACKS, keys.letters(task_id)]
        fields = self._run("claim_bundle", names, claimant, lease, task_id, deadline, message_id)
        return job_fields(fields) if fields else None

    def renew_claim(self, task_id: str, claimant: str, lease: int) -> bool:
        """Keep a claim for another ``lease``; 0 gives it back. False: it is lost."""
        return bool(self._run("renew_claim", [keys.job(task_id)], claimant, lease))

    def complete_job(self, task_id: str, claimant: str, bundle: Bundle) -> Result | None:
        """Record the finished bundle; return None if ``claimant`` has lost the claim."""
        names = [keys.job(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS]
        names += [keys.ENDED, keys.CALLBACKS, keys.COUNTS, keys.MINUTES, keys.UNRECORDED]
        value = msgspec.json.encode(bundle).decode()
        finished_at = self._run("complete_job", names, task_id, claimant, value)
        if not finished_at:
            return None
        return Result(state="completed", finished_at=int(finished_at), bundle=bundle)

    def note_record(self, task_id: str, finished_at: int | None) -> bool:
        """Note that S3 knows of a job's end at ``finished_at``, or that it has none to be recorded.

        False: the job was opened again or has ended anew since, and that end has to be written.
        """
        names = [keys.job(task_id), keys.UNRECORDED]
        end = "" if finished_at is None else finished_at
        return bool(self._run("note_record", names, task_id, end))

    def take_unrecorded(self, count: int, quiet: int, patience: int) -> list[str]:
        """Return up to ``count`` task ids of jobs whose end S3 has not been told for ``patience``.

        For ``quiet`` they are not returned again.
        """
        found = self._run("take_due", [keys.UNRECORDED], count, quiet, patience)
        return cast("list[str]", found)

    def staged_chunks(self, task_id: str) -> list[StagedChunk]:
        """Return what is recorded of a job's staged chunks, in their order."""
        with translated():
            found = cast("dict[str, str]", self._client.hgetall(keys.staged(task_id)))
        ordered = sorted(found.items(), key=lambda pair: int(pair[0]))
        return [msgspec.json.decode(value, type=StagedChunk) for _, value in ordered]

    def diagnose_job(
        self,
        task_id: str,
        patience: int,
        long_patience: int,
        *,
        queues_empty: bool,
        can_send: bool = True,
    ) -> Diagnosis:
        """Return what a job in flight needs, if nothing is moving it.

        Args:
            task_id: the job.
            patience: how long nothing may move when the queues are empty.
            long_patience: how long when they are not, and its messages may be waiting there.
            queues_empty: whether they are.
            can_send: False when the broker is away, and what a job needs would not reach it.
        """
        names = [keys.job(task_id), keys.staged(task_id), keys.leases(task_id), keys.ACTIVE_JOBS]
        arguments = (task_id, patience, long_patience, int(queues_empty), int(can_send))
        action, *chunks = self._run("diagnose_job", names, *arguments)
        return Diagnosis(action, [int(index) for index in chunks])

    def active_jobs(self) -> list[str]:
        """Return the task ids of all jobs in flight, the oldest first."""
        with translated():
            return cast("list[str]", self._client.zrange(keys.ACTIVE_JOBS, 0, -1))

    def claim_expired(self, when: int, count: int) -> list[ExpiredJob]:
        """Close up to ``count`` jobs that ended before ``when``, the oldest first, to be removed.

        Nothing opens them again; asked once more, this returns those that are still there.
        """
        before, behind = keys.job("/").split("/")
        found = self._run("claim_expired", [keys.ENDED_JOBS], before, behind, when, count)
        return [ExpiredJob(*found[start : start + 3]) for start in range(0, len(found), 3)]

    def ping(self) -> None:
        """Prove that Redis answers."""
        with translated():
            self._client.ping()
