"""From `qrmill keys webhook-secret` to a signed callback, with the parts as a user runs them."""

import httpx2

from deploy.embedded.running import RunningStack
from tests.command_line import qrmill
from tests.e2e.test_base_contract import submit
from tests.receiver import receiving
from tests.waiting import wait_for


def test_a_callback_reaches_its_receiver(stack: RunningStack, client: httpx2.Client) -> None:
    own = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": client.headers["X-API-Key"]}
    made = qrmill("keys", "webhook-secret", **own)
    assert made.returncode == 0, made.stderr
    with receiving() as receiver:
        accepted = submit(client, items=[{}], format="svg", callback_url=receiver.url)
        delivered = wait_for(
            lambda: (
                (told := client.get(accepted["poll_url"]).json()["callback"])["state"]
                == "delivered"
                and told
            ),
            "a delivered callback",
            pause=0.25,
        )
    assert delivered["attempts"] == 1
    [received] = receiver.received
    event = received.verified(made.stdout.strip())
    assert event["data"]["poll_url"] == accepted["poll_url"]


def test_the_secret_of_another_key_is_an_operators_to_make(stack: RunningStack) -> None:
    key_id = stack.ready.operator_key.split("_")[1]
    client = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.client_key}
    refused = qrmill("keys", "webhook-secret", key_id, **client)
    assert refused.returncode == 1
    assert "operator" in refused.stderr
    assert refused.stdout == ""
