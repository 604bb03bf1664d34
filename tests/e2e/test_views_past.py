"""Versions and the past through the whole server: what was answered once is answered again, exactly."""

import hashlib
import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.test_views_served import LIMITS, append, guest, put, serving, snapshots, until
from tests.harness.calls import refused
from tests.harness.operating import run

OFTEN = replace(LIMITS, snapshot_every_events=60, fold_batch_events=16)
VIEWS = "/logs/trail/views"


def answer(client: httpx.Client, view: str = "v", **params: str) -> bytes:
    """What a view answers, but for the one member that differs from call to call, and where it stands."""
    found = client.get(f"{VIEWS}/{view}/query", params=params)
    assert found.status_code == 200, found.text
    body = re.sub(rb'"asked_at": ?"[^"]*"', b"", found.content)
    return found.headers["indelible-sequence"].encode() + b" " + body


def version_of(client: httpx.Client, view: str = "v", **params: str) -> str:
    """Which version answers."""
    found = client.get(f"{VIEWS}/{view}/query", params=params)
    assert found.status_code == 200, found.text
    return str(found.headers["indelible-view"].split()[0])


def deployed(client: httpx.Client, *marks: int) -> None:
    """Deploy a version for each mark: components that answer alike under configurations that differ."""
    component = guest("tally-c")
    for mark in marks:
        assert put(client, "trail", "v", component, **{"fail-at": 10**9 + mark}).status_code == 201
        until(lambda: client.get(f"{VIEWS}/v").json()["pending"] is None)


def roll_back(client: httpx.Client, **wanted: int) -> dict[str, Any]:
    """Roll back; the view as it is then."""
    found = client.post(f"{VIEWS}/v/rollback", **({"json": wanted} if wanted else {}))  # type: ignore[arg-type]
    assert found.status_code == 200, found.text
    view: dict[str, Any] = found.json()
    moving = ("state", "applied", "head", "memory_bytes")
    assert view == client.get(f"{VIEWS}/v").json() | {name: view[name] for name in moving}
    return view


def states(client: httpx.Client) -> dict[int, str]:
    """The state of each version, the newest first."""
    found = client.get(f"{VIEWS}/v/versions").json()["versions"]
    return {each["version"]: each["state"] for each in found}


def of_audit(client: httpx.Client, kind: str) -> list[dict[str, Any]]:
    """What `_audit` says of one kind."""
    events = client.get("/logs/_audit/events", params={"limit": "1000"}).json()["events"]
    return [event["payload"] for event in events if event["payload"]["type"] == kind]


@pytest.mark.parametrize("view", ["compliance-report", "tally-c"])
def test_the_past_is_what_the_live_view_said_then(tmp_path: Path, view: str) -> None:
    """Byte for byte, at random events and times; with snapshots in between, after restarts, without any."""
    rolls = random.Random(view)  # noqa: S311 - the same each time
    params = {"limit": "50", "actor": "user_3"} if view == "compliance-report" else {}
    said: dict[int, bytes] = {}
    times: dict[int, str] = {}

    def check(client: httpx.Client, count: int) -> None:
        for sequence in rolls.sample(sorted(said), min(count, len(said))):
            assert answer(client, at=str(sequence), **params) == said[sequence]
            if sequence in times:
                assert answer(client, at=times[sequence], **params) == said[sequence]

    with serving(tmp_path, OFTEN) as client:
        client.post("/logs", json={"name": "trail"})
        if view == "compliance-report":
            assert client.post(f"{VIEWS}/v", json={"builtin": view}).status_code == 201
        else:
            assert put(client, "trail", "v", guest(view)).status_code == 201
        said[0] = answer(client, **params)
    for stop in (200, 400, 600, 800, 1_000):  # and a stop keeps a snapshot
        with serving(tmp_path, OFTEN) as client:
            while (size := max(said)) < stop:
                append(client, "trail", size, rolls.randint(1, 70))
                now = answer(client, **params)
                size = int(now.split()[0])
                said[size] = now
                times[size] = client.get(f"/logs/trail/events/{size}").json()["time"]
                check(client, 2)
            for beyond in (str(size + 1), "9" * 18):
                refused(client.get(f"{VIEWS}/v/query", params={"at": beyond}), 409, "beyond_head")
    assert len({part.name[:20] for part in snapshots(tmp_path)}) >= 5, "there are snapshots in between"
    with serving(tmp_path, OFTEN) as client:
        check(client, 8)
    for part in snapshots(tmp_path):
        part.unlink()
    with serving(tmp_path, OFTEN) as client:
        check(client, 5)
        assert answer(client, **params) == said[size]


def test_a_moment_is_an_instant_or_a_day_that_is_over(tmp_path: Path) -> None:
    """At or before it, and it stays so: nothing is dated before it any more. What is to come is refused."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        client.post(f"{VIEWS}/v", json={"builtin": "compliance-report"})
        append(client, "trail", 0, 3)
        time = datetime.fromisoformat(client.get("/logs/trail/events/3").json()["time"])
        micro = timedelta(microseconds=1)
        for moment, sequence in ((time - micro, b"0"), (time, b"3"), (time + micro, b"3")):
            assert answer(client, at=moment.isoformat()).split()[0] == sequence
        today = datetime.now(UTC).date()
        assert answer(client, at=str(today - timedelta(days=1)), tz="UTC").split()[0] == b"0"
        for at in (str(today + timedelta(days=1)), (datetime.now(UTC) + timedelta(hours=1)).isoformat()):
            problem = refused(client.get(f"{VIEWS}/v/query", params={"at": at}), 400, "invalid_parameter")
            assert "in the future" in problem["detail"]
        for more in ({"min_sequence": "1"}, {"consistency": "stale"}):
            problem = refused(
                client.get(f"{VIEWS}/v/query", params={"at": "1", **more}), 400, "invalid_parameter"
            )
            assert problem["parameter"] in more


def test_versions_are_kept_and_any_of_them_is_taken_back(tmp_path: Path) -> None:
    """By number, or the one before; at once, with all of the log; `_audit` says so, and fsck agrees."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 400)
        refused(client.get(f"{VIEWS}/v/versions"), 404, "not_found")
        refused(client.post(f"{VIEWS}/v/rollback"), 404, "not_found")
        deployed(client, 1)
        refused(client.post(f"{VIEWS}/v/rollback"), 404, "not_found")
        deployed(client, 2, 3)
        listed = client.get(f"{VIEWS}/v/versions").json()
        assert listed["next"] is None
        assert [each["config"] for each in listed["versions"]] == [{"fail-at": 10**9 + n} for n in (3, 2, 1)]
        assert listed["versions"][0]["author"] == "00000000-0000-0000-0000-000000000000"
        assert listed["versions"][0]["config_sha256"] == client.get(f"{VIEWS}/v").json()["config_sha256"]
        pages = [client.get(f"{VIEWS}/v/versions", params=p).json() for p in ({"limit": 2}, {"before": 2})]
        assert [each["next"] for each in pages] == [2, None]
        assert [each["version"] for page in pages for each in page["versions"]] == [3, 2, 1]
        now = answer(client)
        assert roll_back(client)["version"] == 2
        assert (version_of(client), answer(client)) == ("v@2", now)
        append(client, "trail", 400, 10)
        assert answer(client).split()[0] == b"410"
        assert roll_back(client, version=2)["version"] == 2
        assert roll_back(client, version=1)["version"] == 1
        assert roll_back(client, version=3)["version"] == 3, "forwards is fine"
        assert roll_back(client, version=1)["version"] == 1
        assert states(client) == {3: "retired", 2: "retired", 1: "active"}
        refused(client.post(f"{VIEWS}/v/rollback", json={"version": 4}), 404, "not_found")
        refused(client.post(f"{VIEWS}/v/rollback", json={"versions": 1}), 400, "malformed_json")
        facts = [(each["from"], each["to"]) for each in of_audit(client, "view.rolled_back")]
        assert facts == [(3, 2), (2, 1), (1, 3), (3, 1)], "and the active one again changed nothing"
    with serving(tmp_path) as client:
        assert version_of(client) == "v@1"
        deployed(client, 3)
        assert states(client) == {4: "active", 3: "retired", 2: "retired", 1: "retired"}
        assert roll_back(client)["version"] == 3
    checked = run("fsck", "--data", tmp_path)
    assert (checked.returncode, "nothing differs" in checked.stdout) == (0, True), checked.stdout


def test_any_version_answers_at_any_event(tmp_path: Path) -> None:
    """Retired ones too, by their number, at the head and before; one that failed for what was before that."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 300)
        deployed(client, 1)
        then = answer(client)
        append(client, "trail", 300, 50)
        deployed(client, 2)
        append(client, "trail", 350, 5)
        assert answer(client, version="1", at="300") == then
        assert answer(client, version="2", at="300") == answer(client, at="300") == then
        assert (version_of(client, at="7", version="1"), version_of(client)) == ("v@1", "v@2")
        assert answer(client, version="1") == answer(client, version="2") == answer(client)
        append(client, "trail", 355, 1)
        assert answer(client, version="1").split()[0] == b"356", "it covers what came since"
        refused(client.get(f"{VIEWS}/v/query", params={"version": "3"}), 404, "not_found")
        assert put(client, "trail", "v", guest("tally-c"), **{"fail-at": 200}).status_code == 201
        until(lambda: (client.get(f"{VIEWS}/v").json()["pending"] or {}).get("state") == "failed")
        assert answer(client, version="3", at="199") == answer(client, at="199")
        for at in ("200", "300"):
            problem = refused(
                client.get(f"{VIEWS}/v/query", params={"version": "3", "at": at}), 409, "view_failed"
            )
            assert problem["sequence"] == 200
        assert roll_back(client, version=3)["state"] == "failed", "whoever asks for it gets it"
        assert roll_back(client, version=2)["pending"] is None
        assert answer(client).split()[0] == b"356"


def test_a_machine_is_asked_for_its_past(tmp_path: Path) -> None:
    """`at` is the host's there too; an integer in `after`, which waits for an event, does not go with it."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 600)
        assert client.post(f"{VIEWS}/v", content=guest("machine-c")).status_code == 201
        assert client.get(f"{VIEWS}/v/query", params={"at": "123"}).json()["events"] == 123
        assert client.get(f"{VIEWS}/v/query", params={"after": "600"}).json()["events"] == 600
        refused(client.get(f"{VIEWS}/v/query", params={"at": "1", "after": "1"}), 400, "invalid_parameter")


def test_retired_versions_keep_snapshots_and_a_deleted_view_none(tmp_path: Path) -> None:
    """A few of them, the newest; those of older ones go, and they answer all the same."""
    with serving(tmp_path, replace(LIMITS, retired_versions_kept=2)) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 200)
        deployed(client, 1, 2, 3, 4, 5)

        def versions() -> set[str]:
            return {path.parent.name for path in snapshots(tmp_path)} - {"5"}

        until(lambda: versions() == {"3", "4"})
        at_head = answer(client)
        assert answer(client, version="1") == at_head
        assert roll_back(client, version=2)["version"] == 2
        assert (version_of(client), answer(client)) == ("v@2", at_head)
        until(lambda: versions() - {"2"} == {"4"} and "5" in {p.parent.name for p in snapshots(tmp_path)})
        assert client.delete(f"{VIEWS}/v").status_code == 204
        until(lambda: not snapshots(tmp_path))
        refused(client.get(f"{VIEWS}/v/versions"), 404, "not_found")
        refused(client.get(f"{VIEWS}/v/query", params={"version": "4"}), 404, "not_found")
        deployed(client, 1)
        assert states(client) == {1: "active"}, "another view under the same name"


def test_no_question_is_lost_while_versions_change(tmp_path: Path) -> None:
    """Rolled back and forth and deployed anew under questions: each is answered, with all it must cover."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 300)
        deployed(client, 1, 2)
        done = threading.Event()

        def work(worker: int) -> tuple[int, set[str]]:
            asked, seen = 0, set()
            while not done.is_set():
                receipt = client.post("/logs/trail/append", json={"n": worker}).json()
                found = client.get(f"{VIEWS}/v/query")
                assert found.status_code == 200, found.text
                assert int(found.headers["indelible-sequence"]) >= receipt["sequence"]
                seen.add(found.headers["indelible-view"].split()[0])
                asked += 1
            return asked, seen

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(work, worker) for worker in range(4)]
            try:
                for number in range(12):
                    assert roll_back(client, version=2 - number % 2)["version"] == 2 - number % 2
                    assert version_of(client) == f"v@{2 - number % 2}"
                deployed(client, 3)
                assert version_of(client) == "v@3"
            finally:
                done.set()
            seen = set().union(*(each.result()[1] for each in asking))
        assert {"v@1", "v@2"} <= seen


def test_the_past_is_asked_beside_live_traffic(tmp_path: Path) -> None:
    """Questions about many moments, more than are held at once, while others append and ask about now."""
    limits = replace(OFTEN, past_views_per_workspace=6)
    with serving(tmp_path, limits) as client:
        client.post("/logs", json={"name": "trail"})
        deployed(client, 1)
        said = {}
        for first in range(0, 600, 20):
            append(client, "trail", first, 20)
            said[first + 20] = answer(client)

        def look_back(worker: int) -> None:
            rolls = random.Random(worker)  # noqa: S311 - the same each time
            for sequence in rolls.sample(sorted(said), 12):
                assert answer(client, at=str(sequence)) == said[sequence]

        def follow(worker: int) -> None:
            for number in range(25):
                receipt = client.post("/logs/trail/append", json={"n": worker * 100 + number}).json()
                assert int(answer(client).split()[0]) >= receipt["sequence"]

        with ThreadPoolExecutor(6) as pool:
            working = [pool.submit(work, n) for n in range(3) for work in (look_back, follow)]
            for each in working:
                each.result()
        assert answer(client).split()[0] == b"675"


def test_a_question_about_the_past_waits_no_longer_than_it_says(tmp_path: Path) -> None:
    """503 `replaying`, how far and how far it goes; the replay goes on, and who asks again is answered."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        for first in range(0, 60_000, 10_000):
            append(client, "trail", first, 10_000)
        deployed(client, 1)
        now = answer(client)
        deployed(client, 2)
        for path in snapshots(tmp_path):
            path.unlink()
        hurried = client.get(f"{VIEWS}/v/query", params={"version": "1", "at": "60000", "wait": "0"})
        problem = refused(hurried, 503, "replaying")
        assert (problem["head"], problem["applied"] <= 60_000) == (60_000, True)
        assert answer(client, version="1", at="60000") == now


def test_versions_show_configurations_that_are_no_json(tmp_path: Path) -> None:
    """A shipped report is configured in YAML, and bytes of a component not at all: both stand as text."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        client.post(f"{VIEWS}/v", content=guest("tally-c")).raise_for_status()
        client.post(f"{VIEWS}/v", json={"builtin": "object-lifecycle"}).raise_for_status()
        newest, first = client.get(f"{VIEWS}/v/versions").json()["versions"]
        assert newest["config"].startswith("title: Object lifecycle")
        for each in (newest, first):
            text = each["config"] if isinstance(each["config"], str) else json.dumps(each["config"])
            assert hashlib.sha256(text.encode()).hexdigest() == each["config_sha256"]
