"""The whole service as a user starts it, once a run."""

from collections.abc import Iterator

import pytest

from deploy.embedded.running import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A running stack that the whole run shares: do not kill its parts, or the others wait."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
