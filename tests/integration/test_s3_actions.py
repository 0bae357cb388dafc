"""What deploy/s3/ lists and allows for each role is enough for it, and no more than it needs."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
import redis
from botocore.exceptions import EndpointConnectionError

from deploy.embedded import servers
from pipeline.doctor.s3_advice import ACTIONS
from pipeline.errors import StoreUnavailableError
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import (
    ApiKey,
    KeyRevokedError,
    Service,
    Settings,
    check_up,
    open_service,
)
from pipeline.storage import keys
from pipeline.storage.clients import connect_s3, open_storage
from pipeline.storage.multipart_upload import Upload
from tests.integration.conftest import StartWorker
from tests.integration.test_pipeline import ended, make_request
from tests.s3_servers import enforced
from tests.waiting import wait_for

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

DEPLOY = Path(__file__).parents[2] / "deploy"
LISTED: dict[str, dict[str, list[str]]] = json.loads(
    (DEPLOY / "s3" / "actions.json").read_text("utf-8")
)
#: What a worker's requests do not ask for: that what is missing is answered with 404, not 403; and
#: the doctor with a worker's keys, to remove its own objects.
ONLY_FOR_404 = ("main", "s3:ListBucket")
FOR_THE_DOCTOR = ("main", "s3:DeleteObject")


class Roles:
    """Settings of each role with keys of its own, and what its requests needed so far."""

    def __init__(self, settings: Settings, s3: servers.S3Server) -> None:
        self.kinds = {settings.bucket: "main", settings.staging_bucket: "staging"}
        self.seen: dict[str, set[tuple[str, str]]] = {role: set() for role in LISTED}
        #: Called before a worker completes an upload, one after the other.
        self.before_bundles: list[Callable[[], None]] = []
        self._names: dict[str, str] = {}
        self._settings, self._s3 = settings, s3
        self.of = {role: self.user(role, self._statements(role)) for role in LISTED}
        anything: dict[str, object] = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        self.admin = self.user("admin", [anything])
        looking: dict[str, object] = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
        self.reader = self.user("reader", [looking])

    def _statements(self, role: str) -> list[dict[str, object]]:
        """What the role's policy in deploy/s3/ allows, on the buckets of this test."""
        policy = (DEPLOY / "s3" / f"policy-{role}.json").read_text("utf-8")
        defaults = {"main": Settings().bucket, "staging": Settings().staging_bucket}
        for name, kind in self.kinds.items():
            default = rf'arn:aws:s3:::{defaults[kind]}(?=["/])'
            policy = re.sub(default, f"arn:aws:s3:::{name}", policy)
        buckets = [f"arn:aws:s3:::{name}" for name in self.kinds]
        # moto asks for an action HeadBucket, which AWS does not have; and of DeleteObjects for the
        # right on the bucket, where AWS asks for it on each of the objects.
        actions = ["s3:HeadBucket", "s3:DeleteObject"]
        manners = {"Effect": "Allow", "Action": actions, "Resource": buckets}
        return [*json.loads(policy)["Statement"], manners]

    def user(self, role: str, statements: list[dict[str, object]]) -> Settings:
        iam = boto3.client(
            "iam",
            endpoint_url=self._s3.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        name = f"{role}-{self._settings.bucket}"
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="qrmill", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        self._names[made["AccessKeyId"]] = role
        return msgspec.structs.replace(
            self._settings,
            s3_access_key_id=made["AccessKeyId"],
            s3_secret_access_key=made["SecretAccessKey"],
        )

    def connect(self, session: boto3.Session, settings: Settings, **options: Any) -> "S3Client":  # noqa: ANN401 - passed on
        client = connect_s3(session, settings, **options)
        role = self._names[str(settings.s3_access_key_id)]

        def note(params: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
            self.seen[role].add((self.kinds[params["Bucket"]], ACTIONS[model.name]))

        def disturb(params: dict[str, Any], **_: object) -> None:
            if self.before_bundles and params["url_path"].endswith("/bundle.zip"):
                self.before_bundles.pop(0)()

        events = client.meta.events
        if role in self.seen:
            events.register("provide-client-params.s3", note)
        if role == "worker":
            events.register("before-call.s3.PutObject", disturb)
        return client


@pytest.fixture
def roles(
    settings: Settings, s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Roles]:
    found = Roles(settings, s3)
    monkeypatch.setattr("pipeline.storage.clients.connect_s3", found.connect)
    with enforced(s3):
        yield found


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_the_actions_listed_are_those_that_a_jobs_life_takes(
    roles: Roles,
    start_worker: StartWorker,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = live_as_the_api(roles, monkeypatch)
    live_as_the_sweep(roles, key, redis_url)
    start_worker(settings=roles.of["worker"])
    live_as_a_worker(roles, key)
    roles.seen["worker"] |= {ONLY_FOR_404, FOR_THE_DOCTOR}
    listed = {
        role: {(kind, action) for kind, actions in kinds.items() for action in actions}
        for role, kinds in LISTED.items()
    }
    assert roles.seen == listed
    doctor = [each for each in check_up(roles.of["worker"]) if each.name.startswith("s3 ")]
    assert len(doctor) == 9
    failing = {each.name for each in doctor if each.state == "fail"}
    assert failing == {"s3 download URL"}  # moto's IAM does not know presigned URLs
    assert roles.seen == listed


def live_as_the_api(roles: Roles, monkeypatch: pytest.MonkeyPatch) -> ApiKey:
    service = open_service(roles.of["api"])
    made = service.api_keys.create(name="client", role="client")
    assert service.api_keys.authenticate(made.token)
    assert service.api_keys.list() == [made.key]
    live_as_an_operator(service)
    assert service.health.unready() == []
    monkeypatch.setattr("pipeline.storage.records._ONE_PUT", 100)
    with pytest.raises(StoreUnavailableError, match="EntityTooSmall"):
        service.submission.submit(make_request(), made.key)
    monkeypatch.undo()
    monkeypatch.setattr("pipeline.storage.clients.connect_s3", roles.connect)
    cancelled = service.submission.submit(make_request(), made.key).task_id
    staging = open_storage(roles.admin, read_timeout=5).staging_bucket
    staging.put(keys.staged_zip(cancelled, 0), b"x")
    service.jobs.cancel(cancelled, made.key)
    assert [*staging.list_keys("")] == []
    staging.put(keys.staged_zip(cancelled, 0), b"x")
    assert service.jobs.purge(cancelled, made.key)
    assert [*staging.list_keys("")] == []
    service.jobs.stop_waiting()
    return made.key


def live_as_an_operator(service: Service) -> None:
    """Rotate, import and revoke keys, whose objects have prefixes of their own."""
    token = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"
    imported = service.api_keys.import_token(token, name="imported", role="client")
    assert service.api_keys.authenticate(token) == imported
    new, _ = service.api_keys.rotate(imported.key_id, 1)
    assert service.api_keys.revoke(imported.key_id).revoked_at is not None
    assert service.api_keys.authenticate(token) is None
    assert service.api_keys.authenticate(new.token) == new.key
    with pytest.raises(KeyRevokedError):
        service.api_keys.rotate(imported.key_id, 1)
    wait_for(lambda: new.key.key_id in service.api_keys.last_used(), "the day of a use")


def live_as_the_sweep(roles: Roles, key: ApiKey, redis_url: str) -> None:
    hasty = open_service(msgspec.structs.replace(roles.of["api"], job_deadline=1))
    late = hasty.submission.submit(make_request(), key).task_id
    admin = open_storage(roles.admin, read_timeout=5).client
    admin.put_object(Bucket=roles.admin.staging_bucket, Key="orphan/000000.zip", Body=b"x")
    admin.create_multipart_upload(Bucket=roles.admin.bucket, Key="left/open")
    short = msgspec.structs.replace(roles.of["sweep"], job_ttl=1)
    sweep = open_sweep(short)

    def gone() -> bool:
        sweep.once()
        found = admin.list_objects_v2(Bucket=roles.admin.bucket, Prefix=keys.objects_of(late))
        return "Contents" not in found

    wait_for(gone, "the end of a late job, and of what was kept of it")
    hasty.submission.submit(make_request(), key)
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    open_sweep(roles.of["sweep"]).once()
    hasty.jobs.stop_waiting()


def live_as_a_worker(roles: Roles, key: ApiKey) -> None:
    service = open_service(roles.of["api"])
    task_id = service.submission.submit(make_request(), key).task_id
    assert ended(service, task_id, key).state == "completed"
    service.downloads.sign(task_id, ended(service, task_id, key).bundle)  # type: ignore[arg-type]

    def break_off() -> None:
        raise EndpointConnectionError(endpoint_url="")

    cancelled: list[str] = []

    def cancel() -> None:
        service.jobs.cancel(cancelled[0], key)

    roles.before_bundles = [break_off, cancel]
    cancelled.append(service.submission.submit(make_request(), key).task_id)
    assert ended(service, cancelled[0], key).error_code == "cancelled"
    admin = open_storage(roles.admin, read_timeout=5).client
    bundle = keys.bundle_object(cancelled[0])
    wait_for(
        lambda: "Contents" in admin.list_objects_v2(Bucket=roles.admin.bucket, Prefix=bundle),
        "the end of that worker's upload",
    )
    bucket = open_storage(roles.of["worker"], read_timeout=5).bucket
    with pytest.raises(StoreUnavailableError, match="EntityTooSmall"):  # and it is aborted
        bucket.upload(bundle, Upload([b"x" * 200], 100, lambda: True))
    service.jobs.stop_waiting()


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_the_doctor_names_what_is_denied_and_has_nobody_grant_more_than_is_listed(
    roles: Roles,
) -> None:
    findings = {each.name: each for each in check_up(roles.of["api"])}
    denied = findings[f"s3 objects {roles.admin.staging_bucket}"]
    assert (denied.state, denied.found) == ("fail", "PutObject: AccessDenied")
    assert denied.advice.startswith("Grant s3:PutObject if deploy/s3/actions.json lists it")
    assert denied.advice.endswith("run the doctor with a worker's credentials.")
    as_a_worker = {each.name: each for each in check_up(roles.of["worker"])}
    refused = {name for name, each in as_a_worker.items() if each.state == "fail" and "s3" in name}
    assert refused <= {"s3 download URL"}  # moto that enforces policies answers it with 500


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_keys_that_may_not_be_deleted_are_told(roles: Roles) -> None:
    staging = open_storage(roles.of["worker"], read_timeout=5).staging_bucket
    staging.put("a/1", b"x")
    reader = open_storage(roles.reader, read_timeout=5).staging_bucket
    with pytest.raises(StoreUnavailableError, match="DeleteObjects: AccessDenied"):
        reader.delete_all("a/")
    assert staging.get("a/1") == b"x"


def test_the_table_on_the_page_lists_the_same_actions() -> None:
    page = (DEPLOY / "s3.md").read_text("utf-8")
    rows = re.findall(r"^\| (api|worker|sweep) \| (main|staging) \| (.*) \|$", page, re.MULTILINE)
    written = {(role, kind, cell) for role, kind, cell in rows}
    assert written == {
        (role, kind, ", ".join(f"`{action}`" for action in actions))
        for role, kinds in LISTED.items()
        for kind, actions in kinds.items()
    }
