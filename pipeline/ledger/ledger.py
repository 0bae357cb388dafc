"""The ledger: the state of all jobs in Redis, changed by atomic Lua scripts.

Every step is idempotent: the same process or another one can repeat it safely. A chunk is recorded
as staged once, however often it is reported. A job ends once. One bundler at a time holds the
claim on a job's bundle.
"""

from typing import Any, cast

import msgspec
import redis

from pipeline.errors import JobPurgedError
from pipeline.ledger import keys
from pipeline.ledger.connection import check_writable, translated
from pipeline.ledger.entries import (
    ChunkWork,
    Diagnosis,
    ExpiredJob,
    chunk_work,
    entry_keys,
    flat_fields,
    flat_ranges,
    job_fields,
    state_keys,
    status_of,
    version_of,
)
from pipeline.ledger.scripts import Scripts
from pipeline.model.chunks import StagedChunk
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import JobStatus
from pipeline.model.records import Bundle, CallbackRecord, JobFields, RequestHead, Result
from pipeline.model.states import PURGED
from pipeline.model.versions import is_newer, refuse_newer


class Ledger:
    """The steps of jobs and their chunks. All times and durations are in milliseconds.

    Every method raises:
        LedgerUnavailableError: Redis is unreachable.
    """

    def __init__(self, client: redis.Redis) -> None:
        """Initialize with a Redis client that decodes responses; no command is sent."""
        self._client = client
        scripts = Scripts(client)
        self._run, self._run_and_replicate = scripts.run, scripts.run_and_replicate

    def create_job(
        self,
        head: RequestHead,
        created_at: int,
        head_bytes: int,
        deadline: int,
        items: str = "",
    ) -> bool:
        """Create the entry of an accepted job; return False if it already exists.

        Args:
            head: head of the request object.
            created_at: time of creation, since the epoch.
            head_bytes: size of the encoded head in bytes; the ranges of the items begin there.
            deadline: time from now within which the job has to end.
            items: the items of the only chunk, as in the request object. The entry keeps them until
                the job ends, so that the chunk can be rendered without a request to S3. Empty to
                leave them in S3 alone.

        Raises:
            JobPurgedError: the job was purged.
        """
        task_id = head.task_id
        fields = flat_fields(head)
        ranges = flat_ranges(head, head_bytes)
        names = [keys.job(task_id), keys.ranges(task_id), keys.ACTIVE_JOBS]
        names += [keys.jobs_of(head.key_id), keys.ALL_JOBS, keys.PURGED_JOBS]
        arguments = [task_id, created_at, deadline, items, len(fields) // 2, *fields, *ranges]
        created = int(self._run("create_job", names, *arguments))
        if created < 0:
            raise JobPurgedError(f"{task_id} was purged")
        return bool(created)

    def restore_job(
        self,
        head: RequestHead,
        head_bytes: int,
        result: Result,
        callback: CallbackRecord | None = None,
    ) -> bool:
        """Create the entry of an ended job from its records; return False if it already exists.

        An existing entry in flight is replaced, because Redis lost the end of that job. The entry
        is kept if the job was reopened after that end.
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
        names += state_keys(head.task_id)[1:]
        arguments: list[str | int] = [head.task_id, head.created_at]
        arguments.append(result.finished_at)
        arguments += [len(fields) // 2, *fields, *flat_ranges(head, head_bytes)]
        return bool(self._run("restore_job", names, *arguments))

    def discard_job(self, task_id: str, tenant: str) -> None:
        """Delete a job that could not be enqueued, or whose retention period is over."""
        indexes = [keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.jobs_of(tenant)]
        indexes += [keys.ALL_JOBS, keys.CALLBACKS, keys.UNRECORDED]
        self._run("discard_job", [*indexes, *entry_keys(task_id)], task_id)

    def purge_job(self, task_id: str, tenant: str, patience: int, lifetime: int) -> int:
        """Replace the entry of an ended job by a tombstone, and forget its Idempotency-Key.

        Args:
            task_id: id of the job.
            tenant: id of the tenant that owns the job.
            patience: time after which the sweep deletes the job's objects, unless the caller
                reports with :meth:`settle_purge` that it has deleted them.
            lifetime: time after which the tombstone expires.

        Returns:
            The argument of :meth:`settle_purge`; 0 if the job is in flight, and nothing was done.
        """
        names = [keys.ENDED_JOBS, keys.jobs_of(tenant), keys.ALL_JOBS, keys.CALLBACKS]
        names += [keys.UNRECORDED, keys.PURGED_JOBS, *entry_keys(task_id)]
        arguments = (task_id, tenant, patience, lifetime, keys.idempotency_prefix(tenant))
        # A failover that lost the tombstone would bring back a job whose objects are deleted.
        return int(self._run_and_replicate("purge_job", names, *arguments))

    def settle_purge(self, task_id: str, due: int) -> None:
        """Note that a purged job's objects are deleted, unless one was written since ``due``.

        Args:
            task_id: id of the job.
            due: result of :meth:`purge_job`.
        """
        self._run("settle_purge", [keys.job(task_id), keys.PURGED_JOBS], task_id, due)

    def take_purged(self, count: int, quiet: int) -> list[str]:
        """Return up to ``count`` task ids of purged jobs whose objects must be deleted now.

        The returned ids are not returned again for ``quiet``.
        """
        return cast("list[str]", self._run("take_due", [keys.PURGED_JOBS], count, quiet, 0))

    def purged_owner(self, task_id: str) -> str | None:
        """Return the id of the tenant that owned a purged job; None if the job is not purged."""
        with translated():
            found = self._client.hmget(keys.job(task_id), "state", "key_id")
        state, owner = cast("list[str | None]", found)
        return owner if state == PURGED else None

    def status(self, task_id: str) -> JobStatus | None:
        """Return the status of a job, or None if the job is unknown or purged.

        Raises:
            NewerVersionError: a newer release wrote the entry, in a version that this release
                cannot read.
        """
        for fields, staged, failed in self._entries([task_id]):
            refuse_newer(version_of(fields), f"the ledger entry of {task_id}")
            return status_of(fields, staged, failed)
        return None

    def owner(self, task_id: str) -> str:
        """Return the id of the tenant that owns a job; empty if the job is unknown."""
        with translated():
            found = self._client.hget(keys.job(task_id), "key_id")
        return cast("str | None", found) or ""

    def statuses(self, task_ids: list[str]) -> list[JobStatus]:
        """Return the statuses of several jobs in the given order, in one round trip.

        Unknown and purged jobs are left out, as are entries whose version this release cannot read.
        """
        found = self._entries(task_ids) if task_ids else []
        return [status_of(*entry) for entry in found if not is_newer(version_of(entry[0]))]

    def states(self, task_ids: list[str]) -> list[str | None]:
        """Return the state of each job, or None where the job is unknown, with one command.

        The state of a purged job is :data:`PURGED`. Entries of a newer release are included, so a
        state may be one that this release does not know.
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
        return [entry for entry in entries if entry[0] and entry[0].get("state") != PURGED]

    def begin_chunk(
        self, task_id: str, chunk_index: int, lease: int, message_id: str = ""
    ) -> ChunkWork | None:
        """Count a delivery of a chunk and return the work, or None if there is nothing to do.

        A chunk that failed permanently is begun again only by its requeued dead letter. A late or
        duplicate message does not begin it.
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
        names = [*(family(task_id) for family in families), keys.PURGED_JOBS]
        reply = self._run("begin_chunk", names, chunk_index, lease, message_id, task_id)
        if not reply:
            return None
        return chunk_work(reply, chunk_index, message_id)

    def renew_chunk(self, task_id: str, chunk_index: int, lease: int, claimant: str = "") -> None:
        """Renew the lease of a chunk that is being processed, and the claim that its worker has.

        Args:
            task_id: id of the job.
            chunk_index: index of the chunk.
            lease: duration of both.
            claimant: the worker's attempt; it has a claim on the bundle if it bundles the chunk.
        """
        names = [keys.job(task_id), keys.leases(task_id)]
        self._run("renew_chunk", names, chunk_index, lease, claimant)

    def stage_chunk(self, work: ChunkWork, staged: StagedChunk, deadline: int) -> int:
        """Record a staged chunk.

        A failed job is reopened when the last of its failed chunks is staged. The reopened job has
        to end within ``deadline`` from now.

        Returns:
            The number of chunks that are not staged yet; :data:`NO_MORE_NOW` if the job does not
            wait for chunks now; :data:`OF_NO_USE` if the staged chunk can be deleted.
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
        """Record the error that ended an attempt, so that the attempt does not count as a crash."""
        names = [keys.attempts(task_id), keys.handled_errors(task_id), keys.errors(task_id)]
        self._run("record_attempt_error", names, chunk_index, failure.code, failure.detail)

    def unstage_chunk(self, job: JobFields, chunk_index: int, claimant: str) -> bool:
        """Mark a chunk as not staged, because the staged bytes differ from the recorded ones.

        Returns False if ``claimant`` has lost the claim, or if the chunk was not recorded as
        staged. After a lost claim, the new holder checks the chunk itself.
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
        """Fail a job, because a chunk failed permanently or for another reason.

        Args:
            task_id: id of the job.
            failure: reason to report.
            chunk_index: index of the chunk that failed, if a chunk failed.
            letter_id: id of the dead letter, which reopens the job when it is requeued.
            message_id: id of the message that became the dead letter. If the message was itself a
                requeued dead letter, its id no longer reopens the job.

        Returns:
            The result of the failed job, whether it failed now or before; None if the job is
            unknown or has not failed.
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
        names = [*state_keys(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS]
        names += [keys.ENDED, keys.CALLBACKS, keys.COUNTS, keys.MINUTES, keys.letters(task_id)]
        names += [keys.UNRECORDED, keys.ranges(task_id)]
        reply = self._run("fail_job", names, *arguments)
        if not reply:
            return None
        code, error, finished_at = reply
        return Result(state="failed", finished_at=int(finished_at), error=error, error_code=code)

    def retry_job(self, task_id: str, deadline: int) -> list[int] | None:
        """Reopen a failed job and return the indexes of the chunks to render.

        Returns None if the job has not failed or is being deleted.
        """
        names = [*state_keys(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.CALLBACKS]
        names += [keys.UNRECORDED]
        reply = self._run("retry_job", names, task_id, deadline)
        return reply[1:] if reply else None

    def claim_bundle(
        self, task_id: str, claimant: str, lease: int, deadline: int, message_id: str = ""
    ) -> JobFields | None:
        """Claim a job's bundle for ``lease``; return None if there is nothing to bundle.

        Also returns None if another process holds the claim. A job whose bundling failed
        permanently is reopened by its requeued dead letter, and has to end within ``deadline``
        from now.
        """
        names = [keys.job(task_id), keys.staged(task_id), keys.failures(task_id)]
        names += [keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.CALLBACKS, keys.letters(task_id)]
        names += [keys.PURGED_JOBS]
        fields = self._run("claim_bundle", names, claimant, lease, task_id, deadline, message_id)
        return job_fields(fields) if fields else None

    def claim_only_chunk(
        self, task_id: str, claimant: str, lease: int, bundle: Bundle | None = None
    ) -> bool:
        """Claim the bundle of a job whose only chunk the claimant has in memory, or renew it.

        Args:
            task_id: id of the job.
            claimant: the worker's attempt.
            lease: duration of the claim.
            bundle: the bundle if its upload is about to be completed, which is announced as
                :meth:`announce_upload` does.

        Returns:
            False if another worker has staged the chunk or holds the claim, or if the job does not
            wait for the chunk any more.
        """
        names = [keys.job(task_id), keys.staged(task_id), keys.failures(task_id)]
        announced = (bundle.sha256, msgspec.json.encode(bundle).decode()) if bundle else ()
        return bool(self._run("claim_only_chunk", names, claimant, lease, *announced))

    def renew_claim(self, task_id: str, claimant: str, lease: int) -> bool:
        """Renew a claim for ``lease``; 0 releases it. Returns False if the claim was lost."""
        return bool(self._run("renew_claim", [keys.job(task_id)], claimant, lease))

    def announce_upload(self, task_id: str, claimant: str, lease: int, bundle: Bundle) -> bool:
        """Renew a claim before the upload of ``bundle`` is completed, and record the attempt.

        If the claimant then loses the claim, the bundle may reach S3 at any time. Returns False if
        the claim was lost.
        """
        value = msgspec.json.encode(bundle).decode()
        arguments = (claimant, lease, bundle.sha256, value)
        return bool(self._run("renew_claim", [keys.job(task_id)], *arguments))

    def announced_bundles(self, task_id: str) -> list[Bundle]:
        """Return the announced bundles of a job, except the one that completed the job."""
        with translated():
            fields = cast("dict[str, str]", self._client.hgetall(keys.job(task_id)))
        found = (value for name, value in fields.items() if name.startswith("upload:"))
        return [msgspec.json.decode(value, type=Bundle) for value in found]

    def replace_bundle(self, task_id: str, recorded: str, bundle: Bundle) -> Result | None:
        """Record ``bundle`` in place of a completed job's recorded bundle.

        Args:
            task_id: id of the job.
            recorded: SHA-256 of the recorded bundle, hexadecimal.
            bundle: the bundle that is in S3.

        Returns:
            The result with ``bundle``; None if the job is not completed, or if another process has
            replaced the recorded bundle.
        """
        names = [keys.job(task_id), keys.UNRECORDED]
        value = msgspec.json.encode(bundle).decode()
        finished_at = self._run("replace_bundle", names, task_id, recorded, value)
        if not finished_at:
            return None
        return Result(state="completed", finished_at=int(finished_at), bundle=bundle)

    def complete_job(self, task_id: str, claimant: str, bundle: Bundle) -> Result | None:
        """Record the finished bundle and complete the job.

        Returns None if ``claimant`` has lost the claim or the job is not running.
        """
        reply = self._run("complete_job", _end_keys(task_id), task_id, claimant, *_recorded(bundle))
        return _completed(reply[0], bundle) if reply else None

    def complete_only_chunk(
        self, task_id: str, claimant: str, bundle: Bundle, staged: StagedChunk, items: int
    ) -> tuple[Result, bool] | None:
        """Count the only chunk of a job and complete the job, in one step.

        Args:
            task_id: id of the job.
            claimant: the worker's attempt.
            bundle: the bundle, which is in S3.
            staged: record of the chunk.
            items: number of the chunk's items.

        Returns:
            The result, and whether the job had this attempt alone: no other one has staged the
            chunk or announced a bundle. None if ``claimant`` has lost the claim or the job is not
            running.
        """
        names = [*_end_keys(task_id), keys.staged(task_id), keys.DRAINED]
        names += [keys.leases(task_id), keys.attempts(task_id)]
        record = msgspec.json.encode(staged).decode()
        arguments = (task_id, claimant, *_recorded(bundle), record, items)
        reply = self._run("complete_job", names, *arguments)
        return (_completed(reply[0], bundle), bool(reply[1])) if reply else None

    def note_record(
        self, task_id: str, finished_at: int | None, bundle: Bundle | None = None
    ) -> bool:
        """Note that S3 has the result record of a job that ended at ``finished_at``.

        Args:
            task_id: id of the job.
            finished_at: time of the job's end, as in the written record; None if the job has not
                ended or is unknown.
            bundle: the bundle in the written record.

        Returns:
            False if the job has since been reopened or has ended again, or if its bundle has been
            replaced. The record of the current state must be written in that case. Also False if
            the job was purged; the sweep then deletes the record.
        """
        names = [keys.job(task_id), keys.UNRECORDED, keys.PURGED_JOBS]
        end = "" if finished_at is None else finished_at
        sha256 = bundle.sha256 if bundle else ""
        return bool(self._run("note_record", names, task_id, end, sha256))

    def take_unrecorded(self, count: int, quiet: int, patience: int) -> list[str]:
        """Return up to ``count`` task ids of jobs whose result record in S3 may be wrong.

        The record of an ended job may be missing, and a job that was retried may still have one.

        Args:
            count: largest number of ids.
            quiet: time for which the returned ids are not returned again.
            patience: minimum time since the job's end or retry.
        """
        found = self._run("take_due", [keys.UNRECORDED], count, quiet, patience)
        return cast("list[str]", found)

    def staged_chunks(self, task_id: str) -> list[StagedChunk]:
        """Return the records of a job's staged chunks, ordered by chunk index."""
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
        """Return the action that a stalled job in flight needs.

        Args:
            task_id: id of the job.
            patience: time without progress after which a job counts as stalled while the queues are
                empty.
            long_patience: the same time while the queues are not empty. It is longer, because the
                job's messages may be waiting in the queues.
            queues_empty: whether the queues are empty.
            can_send: False while the broker is unavailable. In that case, the only actions returned
                are those for ended jobs and for jobs past their deadline, because no message can be
                sent.
        """
        names = [keys.job(task_id), keys.staged(task_id), keys.leases(task_id), keys.ACTIVE_JOBS]
        arguments = (task_id, patience, long_patience, int(queues_empty), int(can_send))
        action, *chunks = self._run("diagnose_job", names, *arguments)
        return Diagnosis(action, [int(index) for index in chunks])

    def active_jobs(self) -> list[str]:
        """Return the task ids of all jobs in flight, oldest first."""
        with translated():
            return cast("list[str]", self._client.zrange(keys.ACTIVE_JOBS, 0, -1))

    def claim_expired(self, when: int, count: int) -> list[ExpiredJob]:
        """Mark the oldest jobs that ended by ``when`` as being deleted, at most ``count`` of them.

        No message and no retry reopens a marked job. Later calls return the marked jobs again until
        they are deleted.
        """
        before, behind = keys.job("/").split("/")
        found = self._run("claim_expired", [keys.ENDED_JOBS], before, behind, when, count)
        return [ExpiredJob(*found[start : start + 3]) for start in range(0, len(found), 3)]

    def check(self) -> None:
        """Check that Redis responds and accepts writes."""
        check_writable(self._client)


def _end_keys(task_id: str) -> list[str]:
    """Return the keys with which ``complete_job.lua`` ends a job."""
    names = [keys.job(task_id), keys.ACTIVE_JOBS, keys.ENDED_JOBS, keys.ENDED]
    names += [keys.CALLBACKS, keys.COUNTS, keys.MINUTES, keys.UNRECORDED]
    return [*names, keys.PURGED_JOBS, keys.ranges(task_id)]


def _recorded(bundle: Bundle) -> tuple[str, str]:
    """Return the record of a bundle and its SHA-256, as arguments of a script."""
    return msgspec.json.encode(bundle).decode(), bundle.sha256


def _completed(finished_at: str, bundle: Bundle) -> Result:
    return Result(state="completed", finished_at=int(finished_at), bundle=bundle)
