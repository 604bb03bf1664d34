"""`indelible trim`: events leave the database, and no answer shows it; what may not leave does not."""

import base64
import json
import shutil
import subprocess
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.harness.archiving import QUICK, archived, grow
from tests.harness.operating import flip, run
from tests.harness.postgres import cluster
from tests.harness.rebuilding import KEYED, Original, answers, archived_deployment
from tests.harness.server import RunningServer, start_server

from indelible.store.databases import SqliteDatabase, open_shared_database

WINDOW = {"INDELIBLE_LIMIT_IDEMPOTENCY_SECONDS": "1"}
"""Keys are remembered for a second, so that what a test has appended may be trimmed."""


class Place(NamedTuple):
    """A deployment that was archived and stopped: what it answered, and its database where it has one."""

    original: Original
    data: Path
    url: str | None

    @property
    def options(self) -> tuple[str, ...]:
        """How commands are told of its database."""
        return ("--database", self.url) if self.url else ()

    def serve(self, **env: str) -> RunningServer:
        """Serve it, with an archive."""
        return start_server(self.data, "--archive", *self.options, env={**WINDOW, **env})

    def trim(self, *more: str, older_than: str = "1s") -> subprocess.CompletedProcess[str]:
        """Trim it."""
        options = (*self.options, "--older-than", older_than, *more)
        return run("trim", "--data", self.data, *options, env=WINDOW)

    def left(self, log_id: str) -> tuple[int, int]:
        """How many events of a log were trimmed, and with which one its chunks begin."""
        opened = open_shared_database(self.url) if self.url else SqliteDatabase(self.data / "indelible.db")
        with closing(opened):
            info = opened.reader.log_by_id(uuid.UUID(log_id).bytes)
            assert info is not None
            head = opened.reader.head(info.key)
            assert head is not None
            rows = opened.reader.chunks(info.key, head.size, 1_000_000, reverse=True)
            return opened.reader.trimmed(info.key), rows[-1].first


def built(kind: str, folder: Path) -> Place:
    """A deployment on one of the engines."""
    url = cluster().create() if kind == "postgresql" else None
    original = archived_deployment(folder / "data", *(("--database", url) if url else ()))
    place = Place(original, original.data, url)
    with place.serve(**QUICK) as server, server.client() as http:
        grow(http, original.logs[0], 1)  # so that the last chunk is a small one
        archived(http)
        told = answers(http, original.logs)
        assert server.stop() == 0
    return place._replace(original=original._replace(answers=told))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A deployment of this test, on each engine."""
    return built(request.param, tmp_path)


@pytest.fixture
def embedded(tmp_path: Path) -> Place:
    """A deployment of this test with SQLite."""
    return built("sqlite", tmp_path)


def trimmed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the command says of each log, by its id."""
    assert done.returncode == 0, done.stderr
    return {log["log_id"]: log for log in json.loads(done.stdout)["logs"]}


def test_no_answer_shows_it(place: Place) -> None:
    """Everything is answered byte for byte as before, by views too, which replay it from the archive."""
    would = trimmed(place.trim("--dry-run", "--json"))
    first = place.original.logs[0].rpartition("/")[2]
    assert would[first]["events"] == would[first]["size"] - 1 > 1_600
    assert place.left(first) == (0, 1)
    done = trimmed(place.trim("--json"))
    assert done == would
    assert place.left(first) == (done[first]["trimmed"], done[first]["trimmed"] + 1)
    shutil.rmtree(place.data / "objects" / "views")
    with place.serve() as server, server.client() as http:
        found = answers(http, place.original.logs)
        assert {name for name, answer in found.items() if answer != place.original.answers[name]} == set()
        again = http.post(f"{place.original.logs[0]}/append_batch", content=b'["a","b"]', headers=KEYED)
        assert (again.headers["idempotent-replayed"], again.content) == ("true", place.original.batch)
        exported = http.get(
            f"{place.original.logs[0]}/events", headers={"accept": "application/x-ndjson"}
        ).text.splitlines()
        assert [json.loads(line)["sequence"] for line in exported] == list(range(1, len(exported) + 1))
        assert len(exported) == done[first]["size"]
        assert server.stop() == 0
    checked = run("fsck", "--data", place.data, *place.options)
    assert checked.returncode == 0, checked.stdout
    assert "nothing differs" in checked.stdout
    again_trimmed = trimmed(place.trim("--json"))
    assert again_trimmed[first]["events"] == 0
    alone = sum(log["trimmed"] for log in again_trimmed.values())
    doctor = run("doctor", "--data", place.data, *place.options)
    assert f"{alone} of them are in the archive alone" in doctor.stdout


def test_a_server_trims_by_itself_while_it_answers(embedded: Place) -> None:
    """Where it is told an age: beside appends and reads, in steps; killed between two of them it goes on."""
    log = embedded.original.logs[0].rpartition("/")[2]
    often = {"INDELIBLE_LIMIT_TRIM_AFTER_SECONDS": "1", "INDELIBLE_LIMIT_TRIM_INTERVAL_SECONDS": "0.2"}
    size = 0
    for _ in range(2):
        with embedded.serve(**QUICK, **often) as server, server.client() as http:
            deadline = time.monotonic() + 60
            while embedded.left(log)[0] <= size + 2:
                assert time.monotonic() < deadline
                assert http.post(f"/logs/{log}/append", json={"n": "meanwhile"}).status_code == 201
                page = http.get(f"/logs/{log}/events?limit=1000").json()["events"]
                assert [event["sequence"] for event in page] == list(range(1, 1_001))
            size = embedded.left(log)[0]
            server.kill()
    with embedded.serve() as server, server.client() as http:
        events = http.get(f"/logs/{log}/events/300/raw").content
        assert (
            http.get(f"/logs/{log}/events?limit=1&after_sequence=299&bytes=true").json()["events"][0][
                "payload_base64"
            ]
            == base64.b64encode(events).decode()
        )
        assert server.stop() == 0
    checked = run("fsck", "--data", embedded.data)
    assert checked.returncode == 0, checked.stdout


def test_a_server_that_may_not_trim_says_so(tmp_path: Path) -> None:
    """Nodes leave it to the role; `config check` says it before a start, and what else would surprise."""
    never = {"INDELIBLE_LIMIT_TRIM_AFTER_SECONDS": "60"}
    for options, says in (
        ({"DATABASE_URL": cluster().create()}, "nodes remove no events"),
        ({}, "nothing is archived"),
        ({"INDELIBLE_ARCHIVE": "1"}, "events stay for 86400 s"),
    ):
        checked = run("config", "check", "--data", tmp_path / "d", env={**never, **options})
        assert says in checked.stdout, checked.stdout
    url = cluster().create()
    with start_server(tmp_path / "d", "--archive", "--database", url, env=never) as server:
        assert "run indelible trim as a role of its own" in server.written()


def test_evidence_goes_over_both(embedded: Place, tmp_path: Path) -> None:
    """A file of events that stand in the archive and of those that do not is checked without a server."""
    trimmed(embedded.trim("--json"))
    log = embedded.original.logs[0].rpartition("/")[2]
    with embedded.serve() as server, server.client() as http:
        http.post(f"{embedded.original.logs[0]}/append", json={"n": "the newest"})
        (tmp_path / "key").write_text(server.root_key)
        command = ("export", log, "--evidence", "--output", str(tmp_path / "e.zip"), "--url", server.url)
        made = run(*command, "--key-file", tmp_path / "key")
        assert made.returncode == 0, made.stderr
    checked = run("verify", tmp_path / "e.zip")
    assert checked.returncode in {0, 6}, checked.stdout + checked.stderr
    assert "the events 1 to 1605, 1605 of them, and none between them is missing" in checked.stdout
    assert "1605 events in the file are what the log has, byte for byte" in checked.stdout


def test_a_backup_is_whole(embedded: Place, tmp_path: Path) -> None:
    """A copy has the segments that it needs: restored by itself it verifies, and answers as before."""
    trimmed(embedded.trim("--json"))
    made = run("backup", "--data", embedded.data, "--to", tmp_path / "backup")
    assert made.returncode == 0, made.stderr
    copy, secret = tmp_path / "copy", ("--master-secret", embedded.data / "master-secret")
    restored = run("restore", tmp_path / "backup", "--data", copy, *secret)
    assert restored.returncode == 0, restored.stderr
    with start_server(copy) as server, server.client() as http:
        found = answers(http, embedded.original.logs)
        assert {name for name, answer in found.items() if answer != embedded.original.answers[name]} == set()
    log_id = embedded.original.logs[0].rpartition("/")[2]
    segment = min((embedded.data / "objects" / "events" / log_id).iterdir())
    segment.unlink()
    refused = run("backup", "--data", embedded.data, "--to", tmp_path / "another")
    assert (refused.returncode, "event 1 of log one" in refused.stderr) == (1, True), refused.stderr


def test_a_segment_that_was_changed_is_found(place: Place) -> None:
    """Before trimming it keeps its events in the database; after it, fsck names it and what is missing."""
    log_id = place.original.logs[0].rpartition("/")[2]
    segments = sorted((place.data / "objects" / "events" / log_id).iterdir())
    whole = segments[1].read_bytes()
    flip(segments[1], len(whole) // 2)
    refused = place.trim("--json")
    assert (refused.returncode, segments[1].name in refused.stderr) == (1, True), refused.stderr
    checked = run("fsck", "--data", place.data, *place.options)
    assert checked.returncode == 0, checked.stdout
    segments[1].write_bytes(whole)
    trimmed(place.trim("--json"))
    flip(segments[1], len(whole) // 2)
    checked = run("fsck", "--data", place.data, *place.options)
    assert checked.returncode == 1
    assert segments[1].name in checked.stdout
    with place.serve() as server, server.client() as http:
        inside = int(segments[1].name.partition("-")[0])
        hurt = http.get(f"{place.original.logs[0]}/events/{inside}/raw")
        assert (hurt.status_code, hurt.json()["code"]) == (500, "internal")
        assert http.get(f"{place.original.logs[0]}/events/1/raw").status_code == 200
        assert http.post(f"{place.original.logs[0]}/append", json={"n": 1}).status_code == 201


def test_what_may_not_be_trimmed_is_not(embedded: Place, tmp_path: Path) -> None:
    """Younger than keys are remembered, beside a server, without an archive: each refused with a sentence."""
    young = embedded.trim(older_than="0s")
    assert (young.returncode, "idempotency keys are remembered: 1 s" in young.stderr) == (1, True)
    odd = embedded.trim(older_than="1w")
    assert (odd.returncode, "90d, 36h, 3600s" in odd.stderr) == (2, True)
    with embedded.serve():
        beside = embedded.trim()
        assert (beside.returncode, "in use" in beside.stderr) == (1, True), beside.stderr
    none = Place(embedded.original, embedded.data, None)
    shutil.move(embedded.data / "objects" / "manifest", tmp_path / "manifest")
    without = none.trim()
    assert (without.returncode, "nothing is archived" in without.stderr) == (1, True), without.stderr
    assert embedded.left(embedded.original.logs[0].rpartition("/")[2]) == (0, 1)


def test_old_events_alone_leave(embedded: Place) -> None:
    """Nothing is a day old here."""
    done = trimmed(embedded.trim("--json", older_than="1d"))
    assert {log["events"] for log in done.values()} == {0}
