"""Views over real logs, through the whole server: restarts, failures, new versions, harmful questions."""

import contextlib
import hashlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from tests.harness import calls

from indelible.config import Settings
from indelible.model.limits import DEFAULT_LIMITS, Limits

LIMITS = replace(DEFAULT_LIMITS, query_seconds=1.0, snapshot_every_events=500, query_wait_seconds=20.0)


def guest(name: str) -> bytes:
    """A component of tests/guests, which is no package; the test is skipped where its tools are missing."""
    path = Path(__file__).resolve().parents[1] / "guests" / "build.py"
    spec = importlib.util.spec_from_file_location("indelible_guests_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    component: Path = module.need(name)
    return component.read_bytes()


@contextlib.contextmanager
def serving(data: Path, limits: Limits = LIMITS) -> Iterator[httpx.Client]:
    """Serve `data` without keys until the block ends, and give a client."""
    with (
        calls.serving(Settings(data, port=0, no_auth=True, limits=limits)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def event(number: int) -> dict[str, object]:
    """A change by one of seven people to one of eleven things."""
    return {
        "type": "record.updated",
        "actor": f"user_{number % 7}",
        "resource": f"invoice_{number % 11}",
        "changes": {"amount": [number, number + 1]},
    }


def append(client: httpx.Client, log: str, first: int, events: int) -> None:
    """Append a batch."""
    body = json.dumps([event(number) for number in range(first, first + events)])
    answer = client.post(f"/logs/{log}/append_batch", content=body)
    assert answer.status_code == 201, answer.text


def put(client: httpx.Client, log: str, name: str, component: bytes, **config: int) -> httpx.Response:
    """Deploy a component with a configuration."""
    sha256 = hashlib.sha256(component).hexdigest()
    assert client.put(f"/components/{sha256}", content=component).status_code in {200, 201}
    return client.post(f"/logs/{log}/views/{name}", json={"sha256": sha256, "config": config})


def ask(client: httpx.Client, log: str, view: str, **params: str) -> dict[str, Any]:
    """Query; the answer without the one member that differs from call to call."""
    answer = client.get(f"/logs/{log}/views/{view}/query", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    if "cover" in found:
        found["cover"].pop("asked_at", None)
    return found


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what background work will bring."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.02)


def snapshots(data: Path) -> list[Path]:
    """The parts of all snapshots."""
    return sorted(data.rglob("*.part"))


def test_a_report_is_the_same_after_restarts_and_damage(tmp_path: Path) -> None:
    """From memory, from a snapshot, from a damaged snapshot, and from a fresh deployment: the same bytes."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        made = client.post("/logs/trail/views/report", json={"builtin": "compliance-report"})
        assert made.status_code == 201, made.text
        append(client, "trail", 0, 700)
        first = ask(client, "trail", "report", actor="user_3", limit="50")
        assert first["changes_by_resource"]
    assert snapshots(tmp_path), "stopping keeps what is in memory"
    with serving(tmp_path) as client:
        assert client.get("/logs/trail/views/report").json()["applied"] <= 700
        assert ask(client, "trail", "report", actor="user_3", limit="50") == first
        append(client, "trail", 700, 30)
        second = ask(client, "trail", "report", limit="50")
    for part in snapshots(tmp_path):
        part.write_bytes(b"damaged")
    with serving(tmp_path) as client:
        assert ask(client, "trail", "report", limit="50") == second
        client.post("/logs/trail/views/again", json={"builtin": "compliance-report"})
        again = ask(client, "trail", "again", limit="50")
        assert again == second


def test_every_query_covers_what_was_acknowledged_before_it(tmp_path: Path) -> None:
    """Eight clients append and ask at once; no answer lacks an event that its client had a receipt for."""
    component = guest("tally-c")
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        assert put(client, "trail", "tally", component).status_code == 201

        def work(worker: int) -> None:
            for number in range(25):
                receipt = client.post("/logs/trail/append", json=event(worker * 100 + number)).json()
                answer = client.get("/logs/trail/views/tally/query")
                assert answer.status_code == 200, answer.text
                assert int(answer.headers["indelible-sequence"]) >= receipt["sequence"]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        answer = client.get("/logs/trail/views/tally/query")
        assert answer.headers["indelible-sequence"] == "200"


def test_a_view_fails_at_its_event_and_a_new_version_takes_over(tmp_path: Path) -> None:
    """409 with sequence and reason, also after a restart; appends go on; what is deployed next answers."""
    component = guest("tally-c")
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 1_500)
        for name, config in (("erring", {"fail-at": 1_234}), ("trapping", {"trap-at": 1_001})):
            assert put(client, "trail", name, component, **config).status_code == 201
        until(lambda: client.get("/logs/trail/views/erring").json()["state"] == "failed")
        answer = client.get("/logs/trail/views/erring/query")
        assert (answer.status_code, answer.json()["code"]) == (409, "view_failed")
        assert answer.json()["sequence"] == 1_234
        append(client, "trail", 1_500, 10)
    with serving(tmp_path) as client:
        answer = client.get("/logs/trail/views/trapping/query")
        assert (answer.status_code, answer.json()["sequence"]) == (409, 1_001)
        assert client.get("/logs/trail/views/erring").json()["error"]["sequence"] == 1_234
        assert put(client, "trail", "erring", component).status_code == 201
        until(lambda: client.get("/logs/trail/views/erring").json()["version"] == 2)
        answer = client.get("/logs/trail/views/erring/query")
        assert (answer.status_code, answer.headers["indelible-sequence"]) == (200, "1510")


def test_a_question_that_does_harm_hurts_nobody_else(tmp_path: Path) -> None:
    """Traps, endless loops and huge answers fail alone; the same view and another one answer on."""
    component = guest("tally-c")
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 1_000)
        for name in ("tally", "other"):
            assert put(client, "trail", name, component).status_code == 201
        good = ask(client, "trail", "tally")
        codes = {
            "trap": (500, "query_failed"),
            "loop": (504, "query_timeout"),
            "big": (422, "answer_too_large"),
        }
        with ThreadPoolExecutor(6) as pool:
            asked = {
                how: pool.submit(client.get, "/logs/trail/views/tally/query", params={"boom": how})
                for how in codes
            }
            began = time.monotonic()
            assert ask(client, "trail", "other") == good
            assert time.monotonic() - began < 1.0, "another view does not wait for the loop"
            for how, expected in codes.items():
                answer = asked[how].result()
                assert (answer.status_code, answer.json()["code"]) == expected, how
        assert ask(client, "trail", "tally") == good
        refused = client.get("/logs/trail/views/tally/query", params={"nonsense": "1"})
        assert (refused.status_code, refused.json()["code"]) == (422, "query_refused")


def test_a_machine_keeps_its_state_over_a_restart(tmp_path: Path) -> None:
    """A `primatomic:machine` component is kept and restored, and takes an integer `after` as a barrier."""
    component = guest("machine-c")
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 600)
        assert client.post("/logs/trail/views/sum", content=component).status_code == 201
        first = ask(client, "trail", "sum", after="600")
        assert first["events"] == 600
    with serving(tmp_path) as client:
        assert ask(client, "trail", "sum", after="600") == first
        beyond = client.get("/logs/trail/views/sum/query", params={"after": "601"})
        assert (beyond.status_code, beyond.json()["code"]) == (409, "beyond_head")


def test_views_share_little_memory_and_all_answer(tmp_path: Path) -> None:
    """Six views where a few fit: they come and go, and each answers as often as it is asked."""
    component = guest("tally-c")
    with serving(tmp_path, replace(LIMITS, resident_views_bytes=60_000_000)) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 900)
        names = [f"v{number}" for number in range(6)]
        for name in names:
            assert put(client, "trail", name, component).status_code == 201
        for _ in range(2):
            answers = [ask(client, "trail", name) for name in names]
            assert answers == [answers[0]] * len(names)
        held = [client.get(f"/logs/trail/views/{name}").json()["memory_bytes"] for name in names]
        assert 0 in held, "not all of them are in memory"
        assert sum(held) <= 60_000_000, "a view of this kind takes about 23 MB"


def test_a_deleted_view_leaves_nothing_stored(tmp_path: Path) -> None:
    """Its snapshots go with it, and the log stays."""
    with serving(tmp_path) as client:
        client.post("/logs", json={"name": "trail"})
        append(client, "trail", 0, 600)
        client.post("/logs/trail/views/report", json={"builtin": "compliance-report"})
        ask(client, "trail", "report")
        until(lambda: bool(snapshots(tmp_path)))
        assert client.delete("/logs/trail/views/report").status_code in {200, 204}
        assert client.get("/logs/trail/views/report/query").status_code == 404
        until(lambda: not snapshots(tmp_path))
        assert client.get("/logs/trail").json()["head"]["size"] == 600
