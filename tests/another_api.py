"""An API process beside that of a running stack, with other settings."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait


@contextmanager
def another_api(
    environ: Mapping[str, str], directory: Path, probe: str = "/readyz", **own: str
) -> Iterator[str]:
    """Run an API until the end of the block; yield its URL without prefix.

    Args:
        environ: environment of the stack's API.
        directory: for its log.
        probe: path that returns 2xx when the API is ready.
        own: variables that differ from those of the stack.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    part = service_parts.api(port, url, directory, {**environ, **own})
    ready = service_parts._api_responds
    part = dataclasses.replace(part, new_probe=lambda: lambda: ready(f"{url}{probe}"))
    process = start_and_wait(part, directory)
    try:
        yield url
    finally:
        process.stop()
