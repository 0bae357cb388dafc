"""`qrmill up` with RabbitMQ as the broker: a job by HTTP, rendered by worker processes."""

from pathlib import Path

import pytest
import redis

from deploy.embedded.running import running_stack
from pipeline.ledger import keys
from tests.rabbitmq import RunningRabbitmq
from tests.waiting import wait_for


@pytest.mark.timeout(120)
@pytest.mark.long
def test_a_job_goes_through_rabbitmq_and_no_message_through_redis(
    rabbitmq: RunningRabbitmq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rabbitmq.empty()
    secret = tmp_path / "broker-url"
    secret.write_text(f"{rabbitmq.url}\n")
    monkeypatch.setenv("QRMILL_BROKER_URL_FILE", str(secret))
    body = {"gtin": "9506000134352", "items": [{"lot": f"L{n}"} for n in range(1200)]}
    with running_stack(tmp_path / "stack") as stack, stack.client() as client:
        accepted = client.post("/qr/bulk/", json=body).raise_for_status().json()

        def ended() -> bool:
            answer = client.get(accepted["poll_url"], headers={"Prefer": "wait=10"})
            return bool(answer.json()["status"] == "completed")

        wait_for(ended, "the end of the job")
        with redis.Redis.from_url(stack.ready.redis_url) as ledger:
            assert not ledger.exists(*map(keys.messages, ("render", "express", "bundle")))
            assert ledger.hlen(keys.HELD) == 2
    rabbitmq.empty()
