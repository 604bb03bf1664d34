"""A server whose objects are in a real S3: archived, locked, rebuilt from; and while it is away."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.archiving import QUICK, archived, grow, readiness
from tests.harness.bucket import SECRET, Road, S3Server, s3_server
from tests.harness.operating import run
from tests.harness.server import start_server

from indelible.log.archive_manifest import archive_key, load_chain
from indelible.model.limits import DEFAULT_LIMITS
from indelible.operate.archives import judge_lock
from indelible.store.objects_s3 import S3Objects

WINDOW = {"INDELIBLE_LIMIT_IDEMPOTENCY_SECONDS": "1"}
BRIEF = {
    **QUICK,
    "INDELIBLE_LIMIT_OBJECTS_SECONDS": "2",
    "INDELIBLE_LIMIT_OBJECTS_CONNECT_SECONDS": "0.5",
    "INDELIBLE_LIMIT_OBJECTS_RETRIES": "1",
}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """One server for all tests here."""
    with s3_server() as running:
        yield running


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is so, and give it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def checks(data: Path, place: str) -> dict[str, tuple[str, str]]:
    """What `doctor` says, by the name of the check."""
    done = run("doctor", "--data", data, "--objects", place, "--json")
    return {check["name"]: (check["state"], check["says"]) for check in json.loads(done.stdout)["checks"]}


def bypassed(objects: S3Objects, log_id: str) -> None:
    """What whoever has the bucket's keys can do all the same: overwrite segments, and mark them deleted."""
    for number, key in enumerate(objects.list(f"events/{log_id}/")):
        if number % 2:
            objects.put(key, b"put over it")
        else:
            objects.delete(key)
            assert objects.get(key) is None


def test_an_archive_in_a_locked_bucket_is_kept_and_rebuilt_from(s3: S3Server, tmp_path: Path) -> None:
    """Nobody deletes a version of what is archived; `doctor` says so; the bucket gives the store back.

    Trimmed events are read, and the store is rebuilt, from the versions that the lock keeps.
    """
    bucket = s3.bucket(locked_days=30)
    place, data = f"s3://{bucket}/a/b", tmp_path / "data"
    with start_server(data, env={**QUICK, "OBJECTS": place}) as server, server.client() as http:
        log_id = http.post("/logs", json={"name": "log"}).json()["log_id"]
        log = f"/logs/{log_id}"
        assert http.post(f"{log}/views/v", json={"builtin": "compliance-report"}).status_code == 201
        grow(http, log, 700, "key")
        archived(http)
        grow(http, log, 1)
        archived(http)
        events = http.get(f"{log}/events?limit=1000").content
        checkpoint = http.get(f"{log}/checkpoint").content
        assert server.stop() == 0
        assert SECRET not in server.written()
    assert not list((data / "objects").rglob("checkpoint"))
    key = archive_key((data / "master-secret").read_bytes())
    chain = load_chain(S3Objects(place, DEFAULT_LIMITS), key)
    last = chain.logs[log_id].last
    assert last.version
    refused = s3.erase(bucket, f"a/b/{last.key}", last.version)
    assert refused.status_code == 403, refused.text
    bypassed(S3Objects(place, DEFAULT_LIMITS), log_id)
    older = ("trim", "--data", data, "--objects", place, "--json", "--older-than")
    trimmed = json.loads(run(*older, "1s", env=WINDOW).stdout)["logs"]
    assert [log["events"] for log in trimmed if log["log_id"] == log_id] == [700]
    assert run("fsck", "--data", data, "--objects", place).returncode == 0
    found = checks(data, place)
    assert found["object lock"] == (
        "ok",
        "archived objects are locked for 30 days in compliance mode: nobody can delete them",
    )
    assert found["archive"][0] == "ok"
    assert "0 wait" in found["archive"][1]
    secret = ("--master-secret", data / "master-secret", "--json")
    done = run("restore", "--from", place, "--data", tmp_path / "copy", "--published", place, *secret)
    assert done.returncode == 0, done.stderr
    assert not json.loads(done.stdout)["read_only"]
    assert run("fsck", "--data", tmp_path / "copy", "--objects", place).returncode == 0
    with start_server(tmp_path / "copy", "--objects", place, env=QUICK) as server, server.client() as http:
        assert http.get(f"{log}/events?limit=1000").content == events
        assert http.get(f"{log}/checkpoint").content == checkpoint
        assert grow(http, log, 1)["last_sequence"] == 702
        archived(http)


def test_doctor_says_that_a_bucket_is_not_locked(s3: S3Server, tmp_path: Path) -> None:
    """And what that means; nothing is said before there is something to look at."""
    place = s3.place()
    with start_server(tmp_path / "data", "--objects", place, "--no-archive") as server:
        assert server.stop() == 0
    found = checks(tmp_path / "data", place)
    assert found["object lock"][0] == found["archive"][0] == "look"
    with start_server(tmp_path / "data", "--objects", place, env=QUICK) as server, server.client() as http:
        archived(http)
    found = checks(tmp_path / "data", place)
    assert found["archive"][0] == "ok"
    assert found["object lock"][0] == "look"
    assert "whoever has the bucket's keys can delete" in found["object lock"][1]


def test_a_lock_that_can_be_bypassed_deserves_a_look() -> None:
    """Governance mode binds only those who may not bypass it."""
    headers = httpx.Headers(
        {
            "x-amz-object-lock-mode": "GOVERNANCE",
            "x-amz-object-lock-retain-until-date": "2026-01-08T00:00:00Z",
            "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        }
    )
    state, says = judge_lock(headers)
    assert state == "look"
    assert "7 days in governance mode" in says


def test_a_backup_of_a_server_with_a_bucket_holds_what_stands_there(s3: S3Server, tmp_path: Path) -> None:
    """Checkpoints and components come out of the bucket; tiles and segments stay there; and it restores."""
    place, data = s3.place(), tmp_path / "data"
    with start_server(data, "--objects", place, env=QUICK) as server, server.client() as http:
        log = f"/logs/{http.post('/logs', json={'name': 'log'}).json()['log_id']}"
        assert http.post(f"{log}/views/v", json={"builtin": "compliance-report"}).status_code == 201
        grow(http, log, 300)
        archived(http)
    done = run("backup", "--data", data, "--to", tmp_path / "backup", "--objects", place, "--json")
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    kinds = [name.split("/")[1] for name in files if name.startswith("objects/")]
    assert sorted(set(kinds)) == ["components", "proofs"]
    assert not any("/tile/" in name for name in files)
    options = ("--master-secret", data / "master-secret", "--published", place)
    done = run("restore", tmp_path / "backup", "--data", tmp_path / "copy", *options)
    assert done.returncode == 0, done.stderr


def test_a_bucket_that_is_away_stops_no_append_and_is_made_up_for(s3: S3Server, tmp_path: Path) -> None:
    """Appends and questions go on; checkpoints and the archive wait, and say so; then all of it is there."""
    place, data = s3.place(), tmp_path / "data"
    road = Road(s3.url)
    reached = {**BRIEF, "AWS_ENDPOINT_URL": road.url}
    with start_server(data, "--objects", place, env=reached) as server, server.client() as http:
        log_id = http.post("/logs", json={"name": "log"}).json()["log_id"]
        log = f"/logs/{log_id}"
        assert http.post(f"{log}/views/v", json={"builtin": "compliance-report"}).status_code == 201
        grow(http, log, 300)
        archived(http)
        before = http.get(f"{log}/checkpoint").content
        road.close()
        for number in range(20):
            assert http.post(f"{log}/append", json={"n": number}).status_code == 201
        report = http.post(f"{log}/views/v/query")
        assert report.status_code == 200, report.text
        assert report.headers["indelible-sequence"] == "320"
        assert http.get(f"{log}/checkpoint").content == before
        proof = http.get(f"{log}/proof/inclusion", params={"sequence": 320})
        assert (proof.status_code, proof.json()["code"]) == (503, "objects_unreachable")
        assert "retry-after" in proof.headers
        told = until(lambda: (found := readiness(http))["objects"]["failed"] and found)
        assert http.get("/readyz").status_code == 200
        assert place not in str(told)  # anybody may ask
        assert place in server.written()
        assert SECRET not in server.written()
        assert told["archive"]["backlog_events"] >= 20
        until(
            lambda: (
                "indelible_objects_failing 1.0" in (text := http.get("/metrics").text)
                and "indelible_checkpoints_unpublished 0.0" not in text
            )  # each is told by a task of its own
        )
        assert grow(http, log, 300)["last_sequence"] == 620
        road.open()
        told = archived(http)
        assert told["archive"]["failed"] is None
        assert told["objects"]["failed"] is None
        proof = http.get(f"{log}/proof/inclusion", params={"sequence": 620})
        assert proof.status_code == 200, proof.text
        key = archive_key((data / "master-secret").read_bytes())
        until(lambda: load_chain(S3Objects(place, DEFAULT_LIMITS), key).logs[log_id].size == 620)
        assert SECRET not in server.written()


def test_a_start_without_the_bucket_appends_nothing_unchecked(s3: S3Server, tmp_path: Path) -> None:
    """A log is compared with its published head first: 503 until the bucket is there, then it opens."""
    place, data = s3.place(), tmp_path / "data"
    with start_server(data, "--objects", place, env=BRIEF) as server, server.client() as http:
        log = f"/logs/{http.post('/logs', json={'name': 'log'}).json()['log_id']}"
        grow(http, log, 10)
        archived(http)
        assert server.stop() == 0
    road = Road(s3.url)
    road.close()
    reached = {**BRIEF, "AWS_ENDPOINT_URL": road.url}
    with start_server(data, "--objects", place, env=reached) as server, server.client() as http:
        refused = http.post(f"{log}/append", json={"n": 1})
        assert (refused.status_code, refused.json()["code"]) == (503, "objects_unreachable")
        assert http.get(f"{log}/events?limit=10").status_code == 200
        road.open()
        until(lambda: http.post(f"{log}/append", json={"n": 1}).status_code == 201)
        archived(http)
