"""Limit on what one client has of a process: its connections, or its requests behind a proxy."""

from collections import Counter


class AddressLimit:
    """Counts connections and requests by the client's network.

    Args:
        most: maximum per network.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: Counter[str] = Counter()

    def is_full(self, network: str) -> bool:
        """Return whether a network has reached the limit."""
        return self._counts[network] >= self.most

    def add(self, network: str) -> None:
        """Count a connection or a request."""
        self._counts[network] += 1

    def remove(self, network: str) -> None:
        """Stop counting a connection or a request."""
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]
