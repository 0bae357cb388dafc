"""API keys whose jobs are sent to a known lane."""

from typing import Any

from pipeline.auth.api_key import NewApiKey
from pipeline.auth.api_keys import ApiKeys
from pipeline.broker.lanes import lane_of


def key_in_lane(api_keys: ApiKeys, lane: int, **fields: Any) -> NewApiKey:  # noqa: ANN401 - of any field
    """Create keys until one is in ``lane``, counted from 0, and return that key."""
    while True:
        made = api_keys.create(**fields)
        if lane_of(made.key.tenant) == lane:
            return made
