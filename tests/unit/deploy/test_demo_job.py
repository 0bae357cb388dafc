from deploy.embedded.demo_job import make_request
from render.gs1.ai import check_alphanumeric, check_expiry


def test_the_request_is_the_same_at_every_call_and_valid() -> None:
    request = make_request(5000)
    assert request == make_request(5000)
    for item in request["items"]:
        check_alphanumeric(item["lot"], "cset82")
        check_alphanumeric(item["serial"], "cset82")
        check_expiry(item["expiry"])


def test_no_two_items_are_the_same() -> None:
    items = make_request(5000)["items"]
    assert len({(item["lot"], item["serial"]) for item in items}) == 5000
