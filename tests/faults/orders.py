"""Requests of mixed sizes and formats, and what becomes of each."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GTIN = "9506000134352"
#: Items of the jobs, one after the other: nine in twenty have a single chunk, the others have some
#: chunks, or dozens.
SIZES = (1, 40, 20, 700, 250, 12, 1500, 90, 3, 400, 1000, 5, 600, 20, 1200, 8, 300, 15, 1, 60)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789-/.%+"


@dataclass
class Order:
    """A request, and all that was seen of it.

    Attributes:
        marker: a value that no other request has: the lot of every item.
        idempotency_key: sent with every try of it.
        api_key: of the tenant whose order it is.
        posts: what each try was answered: a status, or the name of the error.
        task_id, accepted_at: of the 202, if one came.
        unknown: a poll was answered 404 after the 202.
        status: the poll's answer when it had ended.
        ended_at: when that was seen, on the monotonic clock.
        downloads: SHA-256 of what each download brought.
        bundle: where the first one is kept.
    """

    marker: str
    body: dict[str, Any]
    idempotency_key: str
    api_key: str = ""
    posts: list[str] = field(default_factory=list)
    task_id: str | None = None
    accepted_at: float = 0.0
    unknown: bool = False
    status: dict[str, Any] | None = None
    ended_at: float = 0.0
    downloads: list[str] = field(default_factory=list)
    bundle: Path | None = None

    @property
    def ended(self) -> bool:
        return self.status is not None

    @property
    def completed(self) -> bool:
        return self.status is not None and self.status["status"] == "completed"

    @property
    def open(self) -> bool:
        """Accepted, and not seen to end."""
        return self.task_id is not None and not self.ended


def make_order(number: int, items: int, prefix: str, *, more_fields: bool = False) -> Order:
    """Return the request ``number`` of a run; the same arguments give the same request.

    Args:
        more_fields: whether items have fields that release 0.2.0 does not know.
    """
    source = random.Random(f"{prefix} {number}")
    marker = f"{prefix}-{number:04}"
    form = ("png", "svg")[number % 2]
    body: dict[str, Any] = {
        "gtin": GTIN,
        "format": form,
        "size": source.choice((120, 200, 400)),
        "items": [_item(source, marker, index) for index in range(items)],
    }
    if more_fields:
        body["items"] = [
            item | _more_fields(source, index) for index, item in enumerate(body["items"])
        ]
    return Order(marker, body, idempotency_key=f"{marker}-key")


def _more_fields(source: random.Random, index: int) -> dict[str, Any]:
    return {
        "variant": "V" + "".join(source.choices(_LETTERS, k=3)),  # NAN alone would be warned of
        "best_before_date": f"{source.randint(27, 40)}{source.randint(1, 12):02}15",
        "name": f"label-{index}",
        "extra": {"bin": f"{source.randint(1, 99)}"},
    }


def _item(source: random.Random, marker: str, index: int) -> dict[str, Any]:
    serial = f"{index:04}" + "".join(source.choices(_LETTERS, k=source.randint(1, 12)))
    item = {"lot": marker, "serial": serial}
    if index % 3:
        item["expiry"] = f"{source.randint(27, 40)}{source.randint(1, 12):02}00"
    return item
