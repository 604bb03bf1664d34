"""A node on the oldest PostgreSQL that is promised, and on the newest that there is."""

from pathlib import Path

import pytest
from tests.harness.archiving import QUICK, archived, grow
from tests.harness.operating import run
from tests.harness.postgres import cluster
from tests.harness.postgres_versions import NEWEST, OLDEST
from tests.harness.server import start_server

WINDOW = {"INDELIBLE_LIMIT_IDEMPOTENCY_SECONDS": "1"}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_node_serves_on_this_version(version: int, tmp_path: Path) -> None:
    """Appends, keys, large batches, views, proofs; archived, trimmed, restored elsewhere: nothing differs."""
    url, data = cluster(version).create(), tmp_path / "d"
    with start_server(data, "--archive", "--database", url, env=QUICK) as server, server.client() as http:
        log = f"/logs/{http.post('/logs', json={'name': 'a'}).json()['log_id']}"
        first = grow(http, log, 5_000, "key")
        assert grow(http, log, 5_000, "key") == first
        assert http.post(f"{log}/views/v", json={"builtin": "compliance-report"}).status_code == 201
        assert http.post(f"{log}/append", json={"type": "t"}).json()["sequence"] == 5_001
        assert http.get(f"{log}/views/v/query").headers["indelible-sequence"] == "5001"
        assert http.get(f"{log}/proof/inclusion?sequence=17").status_code == 200
        archived(http)
        before = http.get(f"{log}/events?limit=1000").content
        done = run("trim", "--data", data, "--database", url, "--older-than", "1s", env=WINDOW)
        assert done.returncode == 0, done.stderr
        assert http.get(f"{log}/events?limit=1000").content == before
        assert server.stop() == 0
    assert run("fsck", "--data", data, "--database", url).returncode == 0
    doctor = run("doctor", "--data", data, "--database", url).stdout
    assert f"{version}." in doctor
    copy, secret = cluster(version).create(), ("--master-secret", data / "master-secret")
    archive = ("--from", data / "objects", "--data", tmp_path / "copy")
    restored = run("restore", *archive, *secret, "--database", copy)
    assert restored.returncode == 0, restored.stderr
