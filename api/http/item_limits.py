"""Headers and problems of the limits on items."""

import math
import time
from contextlib import suppress
from http import HTTPStatus

import falcon

from api.http.problems import ProblemError, one_bad_value
from pipeline.service import ItemLimitError, ItemLimits, Standing, UnavailableError

_PREFIX = "Items-"
_UNITS = {60: "minute", 86_400: "day"}


def add_item_headers(req: falcon.Request, resp: falcon.Response, limits: ItemLimits) -> None:
    """Add the headers ``Items-RateLimit-*`` if the key of a request has a limit on items.

    A response never fails because the counts cannot be read.
    """
    with suppress(UnavailableError):
        standing = limits.standing(req.context.key)
        if standing is not None:
            resp.set_headers(item_headers(standing, time.time()))


def item_headers(standing: Standing, now: float) -> dict[str, str]:
    """Return the headers that report how many items a key may still send.

    Args:
        standing: state of the key's windows.
        now: current time in seconds since the epoch.
    """
    tightest = standing.tightest
    policy = ", ".join(f"{window.limit};w={window.seconds}" for window in standing.windows)
    return {
        f"{_PREFIX}RateLimit-Policy": policy,
        f"{_PREFIX}RateLimit-Limit": str(tightest.limit),
        f"{_PREFIX}RateLimit-Remaining": str(tightest.remaining),
        f"{_PREFIX}RateLimit-Reset": str(max(0, math.ceil(tightest.resets_at - now))),
    }


def over_item_limit(error: ItemLimitError, now: float) -> ProblemError:
    """Return the 429 problem of a request whose items exceed the limit of its key.

    A request with more items than a whole window allows gets 422, because it can never succeed.
    """
    window, seconds = error.window, max(1, math.ceil(error.window.resets_at - now))
    limit = f"This API key may send {window.limit} items per {_UNITS[window.seconds]}"
    if error.items > window.limit:
        detail = f"{limit}, and the request has {error.items}. Send fewer items per request."
        return one_bad_value("/items", "too_many_items", detail)
    return ProblemError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "over_item_rate",
        f"{limit} and has {window.remaining} left; the request has {error.items}. Nothing was "
        f"accepted. Send the request again in {seconds} s.",
        headers={"Retry-After": str(seconds), **item_headers(error.standing, now)},
    )
