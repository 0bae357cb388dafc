"""deploy/s3/ as a server with lifecycle rules, policies and encryption takes it: moto's."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import servers
from pipeline.service import Settings

DEPLOY = Path(__file__).parents[2] / "deploy" / "s3"


def read(name: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads((DEPLOY / name).read_text("utf-8"))


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
@pytest.mark.parametrize("kind", ["main", "staging"])
def test_a_bucket_is_what_the_files_say(
    settings: Settings, s3: servers.S3Server, kind: str
) -> None:
    name = {"main": settings.bucket, "staging": settings.staging_bucket}[kind]
    client = s3.client()
    rules, blocks = read(f"lifecycle-{kind}.json"), read("public-access-block.json")
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=rules)
    client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocks)
    client.put_bucket_encryption(
        Bucket=name, ServerSideEncryptionConfiguration=read("encryption.json")
    )
    found = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert [rule["ID"] for rule in found] == [rule["ID"] for rule in rules["Rules"]]
    told = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert told == blocks
    client.put_object(Bucket=name, Key="a", Body=b"x")
    assert client.head_object(Bucket=name, Key="a")["ServerSideEncryption"] == "AES256"
    client.put_bucket_cors(Bucket=name, CORSConfiguration=read("cors.json"))
    assert client.get_bucket_cors(Bucket=name)["CORSRules"] == read("cors.json")["CORSRules"]
    policy = (DEPLOY / f"bucket-policy-{kind}.json").read_text("utf-8")
    client.put_bucket_policy(Bucket=name, Policy=policy)
    assert json.loads(client.get_bucket_policy(Bucket=name)["Policy"]) == json.loads(policy)
