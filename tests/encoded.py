"""Encoding of a job's items, as in a validated request."""

from collections.abc import Sequence

from pipeline.model.jobs import EncodedItems, Item


def encoded(items: Sequence[Item], chunk_size: int) -> EncodedItems:
    found = EncodedItems(chunk_size)
    for at in range(0, len(items), chunk_size):
        found.append(items[at : at + chunk_size])
    return found
