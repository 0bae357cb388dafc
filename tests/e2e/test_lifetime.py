"""What was accepted and made is still there after the service was down."""

from pathlib import Path

import httpx2
import pytest

from deploy.embedded.running import running_stack
from tests.e2e.test_base_contract import bundle_of, follow, submit


@pytest.mark.long
def test_jobs_bundles_and_keys_are_found_again(tmp_path: Path) -> None:
    with running_stack(tmp_path) as first:
        with first.client() as client:
            done = submit(client, items=[{"lot": "A"}])
            before = follow(client, done["poll_url"])
            # Accepted, and the service is stopped before it can be rendered to its end.
            open_ = submit(client, items=[{"serial": f"{index:05}"} for index in range(2000)])
        key = first.ready.client_key
    with running_stack(tmp_path) as second, second.client() as client:
        assert second.ready.client_key == key
        after = follow(client, done["poll_url"])
        assert after["bundle"] == before["bundle"]
        assert httpx2.get(after["download_url"], trust_env=False).status_code == 200
        late = follow(client, open_["poll_url"])
        with bundle_of(late) as archive:
            assert len(archive.namelist()) == 2002
