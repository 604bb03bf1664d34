"""Nodes on machines that are not alike: clocks apart, a full disk, one that was never there before."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.harness.asking import timeless
from tests.harness.disks import small_disk
from tests.harness.faketime import faking
from tests.harness.postgres import cluster, eventually
from tests.harness.server import RunningServer, start_server

from indelible.model.instants import parse_instant

VIEW = "compliance-report"
HOUR = 3_600


@pytest.fixture
def url() -> str:
    """A database of this test."""
    return cluster().create()


@contextmanager
def node(data: Path, url: str, objects: Path, **env: str) -> Iterator[tuple[RunningServer, httpx.Client]]:
    """A node with a directory of its own, which has the secrets of the deployment where there is one."""
    options = ("--database", url, "--objects", str(objects))
    with start_server(data, *options, env=env) as server, server.client() as http:
        yield server, http


def another(data: Path, like: Path) -> Path:
    """A directory for another node, as docs/deploy.md has it made."""
    data.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(like / "master-secret", data)
    return data


def test_clocks_that_are_apart_date_no_event(url: str, tmp_path: Path) -> None:
    """One node an hour ahead, one behind: times are the database's, and never go back within a log."""
    with ExitStack() as stack:
        clients = []
        for at, ahead in enumerate((0, HOUR, -HOUR)):
            data = another(tmp_path / f"d{at}", tmp_path / "d0") if at else tmp_path / "d0"
            hands = tmp_path / f"hands{at}"
            env = faking(hands) if ahead else {}
            hands.write_text(f"{ahead:+}")
            clients.append(stack.enter_context(node(data, url, tmp_path / "objects", **env))[1])
        clients[0].post("/logs", json={"name": "log"})
        began = cluster().run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")[0][0]
        answers = [clients[number % 3].post("/logs/log/append", json={"n": number}) for number in range(60)]
        assert [answer.status_code for answer in answers] == [201] * 60
        times = [parse_instant(answer.json()["time"]) for answer in answers]
        assert isinstance(began, int)
        assert times == sorted(times)
        assert began <= times[0]
        assert times[-1] < began + 120 * 1_000_000
        # A window that a node works out is of the same times.
        for http in clients:
            page = http.get("/logs/log/events", params={"from": answers[9].json()["time"], "limit": 1_000})
            assert page.json()["events"][0]["sequence"] == 10


def test_a_full_disk_at_one_node_keeps_nobody_from_anything(url: str, tmp_path: Path) -> None:
    """It appends and proves; what it has no room to compile it says, and does when there is room."""
    with (
        small_disk(tmp_path / "disk", mib=8) as disk,
        node(tmp_path / "a", url, tmp_path / "objects") as (_, whole),
    ):
        data = another(disk / "b", tmp_path / "a")
        with node(data, url, tmp_path / "objects") as (full, http):
            with pytest.raises(OSError, match="No space"):
                (disk / "ballast").write_bytes(b"x" * (9 << 20))
            assert http.post("/logs", json={"name": "log"}).status_code == 201
            for number in range(20):
                assert http.post("/logs/log/append", json={"type": "t", "n": number}).status_code == 201
            refused = http.post(f"/logs/log/views/{VIEW}", json={"builtin": VIEW})
            assert (refused.status_code, refused.json()["code"]) == (507, "disk_full"), refused.text
            assert whole.post(f"/logs/log/views/{VIEW}", json={"builtin": VIEW}).status_code == 201
            waits = http.get(f"/logs/log/views/{VIEW}/query?wait=1")
            assert (waits.status_code, waits.json()["code"]) == (503, "replaying"), waits.text
            for client in (http, whole):
                assert client.get("/logs/log/proof/inclusion?sequence=20").status_code == 200
                assert client.get("/readyz").status_code == 200
            asked = whole.get(f"/logs/log/views/{VIEW}/query")
            assert (asked.status_code, asked.headers["indelible-sequence"]) == (200, "20"), asked.text
            (disk / "ballast").unlink()
            asked = http.get(f"/logs/log/views/{VIEW}/query")
            assert (asked.status_code, asked.headers["indelible-sequence"]) == (200, "20"), asked.text
            assert full.stop() == 0


def test_a_node_that_was_never_there_begins_with_the_others_snapshots(url: str, tmp_path: Path) -> None:
    """It folds what came after the snapshot, not what is in it, and its answer is theirs byte for byte."""
    every = {"INDELIBLE_LIMIT_SNAPSHOT_EVERY_EVENTS": "1000"}
    lines = b"\n".join(b'{"type":"t","actor":"a%d","resource":"r"}' % number for number in range(5_000))
    with node(tmp_path / "a", url, tmp_path / "objects", **every) as (_, first):
        first.post("/logs", json={"name": "log"})
        first.post(f"/logs/log/views/{VIEW}", json={"builtin": VIEW})
        headers = {"content-type": "application/x-ndjson"}
        assert first.post("/logs/log/append_batch", content=lines, headers=headers).status_code == 201
        asked = first.get(f"/logs/log/views/{VIEW}/query")
        eventually(lambda: snapshots(tmp_path))
        assert first.post("/logs/log/append", json={"type": "late"}).status_code == 201
        asked = first.get(f"/logs/log/views/{VIEW}/query")
        with node(another(tmp_path / "b", tmp_path / "a"), url, tmp_path / "objects", **every) as (_, fresh):
            found = fresh.get(f"/logs/log/views/{VIEW}/query")
            assert found.headers["indelible-sequence"] == "5001"
            assert timeless(found.content) == timeless(asked.content)
            folded = re.search(
                r"^indelible_fold_events_total (\S+)", fresh.get("/metrics").text, re.MULTILINE
            )
            assert folded is not None
            assert 1 <= float(folded[1]) < 5_000


def snapshots(folder: Path) -> list[str]:
    """The objects of views."""
    return sorted(str(path) for path in (folder / "objects" / "views").rglob("*") if path.is_file())
