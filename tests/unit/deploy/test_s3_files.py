"""The JSON of deploy/s3/: policies allow what each role uses; S3's own model takes the rest."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import validate_parameters

from pipeline.settings import Settings
from pipeline.storage import keys

S3 = Path(__file__).parents[3] / "deploy" / "s3"
LISTED: dict[str, dict[str, list[str]]] = json.loads((S3 / "actions.json").read_text("utf-8"))
DEFAULTS = Settings()
BUCKETS = {"main": DEFAULTS.bucket, "staging": DEFAULTS.staging_bucket}
KINDS = {name: kind for kind, name in BUCKETS.items()}
#: What each file is for: the operation that takes it, and as which parameter.
REQUESTS = {
    "lifecycle-main.json": ("PutBucketLifecycleConfiguration", "LifecycleConfiguration"),
    "lifecycle-staging.json": ("PutBucketLifecycleConfiguration", "LifecycleConfiguration"),
    "cors.json": ("PutBucketCors", "CORSConfiguration"),
    "encryption.json": ("PutBucketEncryption", "ServerSideEncryptionConfiguration"),
    "public-access-block.json": ("PutPublicAccessBlock", "PublicAccessBlockConfiguration"),
}
DAY = 86_400


def read(name: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads((S3 / name).read_text("utf-8"))


def allowed(role: str) -> dict[str, set[tuple[str, str]]]:
    """For each bucket, the actions of a role and what of the bucket they are allowed on."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for statement in read(f"policy-{role}.json")["Statement"]:
        assert set(statement) == {"Sid", "Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            bucket, _, objects = resource.removeprefix("arn:aws:s3:::").partition("/")
            found[KINDS[bucket]] |= {(action, objects) for action in statement["Action"]}
    return found


def test_every_file_is_tested_here() -> None:
    roles = {f"policy-{role}.json" for role in LISTED}
    buckets = {f"bucket-policy-{kind}.json" for kind in BUCKETS}
    names = {path.name for path in S3.glob("*.json")}
    assert names == {"actions.json", *REQUESTS, *roles, *buckets}


@pytest.mark.parametrize("role", LISTED)
def test_a_policy_allows_the_actions_that_its_role_uses_and_no_others(role: str) -> None:
    for kind, pairs in allowed(role).items():
        assert {action for action, _ in pairs} == set(LISTED[role][kind])
        for action, objects in pairs:
            # Actions on buckets and on objects are told apart by the resource (S3 API, actions).
            assert (objects == "") == action.startswith("s3:ListBucket"), (action, objects)


def test_only_the_api_reaches_keys_and_only_those_who_sign_the_secrets() -> None:
    task = "00000000-0000-4000-8000-000000000000"
    assert keys.objects_of(task).startswith("jobs/")
    assert keys.api_key_object("k").startswith("keys/")
    assert keys.key_use_object("k").startswith("key-marks/")
    assert keys.key_revocation_object("k").startswith("key-marks/")
    assert keys.imported_key_object("0" * 64, "k").startswith("imported-keys/")
    assert keys.webhook_secret_object("k").startswith("webhook-secrets/")
    assert keys.checkup_object().startswith("checkup-")
    reached = {role: {objects for _, objects in allowed(role)["main"]} for role in LISTED}
    jobs = {"", "jobs/*"}
    of_keys = {"keys/*", "key-marks/*", "imported-keys/*"}
    assert reached["api"] == jobs | of_keys | {"webhook-secrets/*", "checkup-*"}
    assert reached["worker"] == jobs | {"webhook-secrets/*", "checkup-*"}
    assert reached["sweep"] == jobs
    of_secrets = {action for action, what in allowed("worker")["main"] if "secrets" in what}
    assert of_secrets == {"s3:GetObject"}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_requests_model_takes_the_file(name: str) -> None:
    model = boto3.client("s3", region_name="us-east-1").meta.service_model
    operation, parameter = REQUESTS[name]
    shape = model.operation_model(operation).input_shape
    assert shape is not None
    validate_parameters({"Bucket": "b", parameter: read(name)}, shape)


def test_nothing_expires_while_the_service_may_need_it() -> None:
    """S3 counts days from the next midnight (UTC), so they are never less.

    A job that failed may be run again until its lifetime is over, which then begins anew; its
    request is never written again, its bundle is, and what is staged is needed until then.
    """
    once = DEFAULTS.job_deadline + DEFAULTS.job_ttl
    needed = {"main": once + once, "staging": once + DEFAULTS.job_deadline}
    for kind in BUCKETS:
        rules = read(f"lifecycle-{kind}.json")["Rules"]
        for rule in rules:
            prefix = rule["Filter"]["Prefix"]
            days = rule.get("Expiration", {}).get("Days")
            # API keys and webhook secrets never expire.
            assert days is None or kind == "staging" or prefix in {keys.JOBS, "checkup-"}
            if days is not None and prefix != "checkup-":
                assert days * DAY > needed[kind]
        uploads = [
            rule["AbortIncompleteMultipartUpload"]
            for rule in rules
            if "AbortIncompleteMultipartUpload" in rule
        ]
        assert len(uploads) == 1
        assert uploads[0]["DaysAfterInitiation"] * DAY > DEFAULTS.job_deadline


def test_the_buckets_are_for_nobody_else_encrypted_and_reached_over_tls() -> None:
    assert set(read("public-access-block.json").values()) == {True}
    (rule,) = read("encryption.json")["Rules"]
    assert rule == {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    for kind, name in BUCKETS.items():
        for statement in read(f"bucket-policy-{kind}.json")["Statement"]:
            arn = f"arn:aws:s3:::{name}"
            assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
            assert statement["Resource"] == [arn, f"{arn}/*"]
