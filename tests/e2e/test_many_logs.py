"""Thousands of logs on one server: each takes its append, and all are there after a restart."""

import asyncio
import json
from pathlib import Path

import httpx
from tests.harness.server import RunningServer, start_server

LOGS = 2_000
CONNECTIONS = 16


async def make_all(server: RunningServer) -> dict[str, dict[str, object]]:
    """Create the logs and append one event to each; returns the receipts by name."""
    receipts: dict[str, dict[str, object]] = {}
    headers = {"Authorization": f"Bearer {server.root_key}"}
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60, limits=limits) as http:
        names = iter([f"log-{number:05}" for number in range(LOGS)])

        async def work() -> None:
            for name in names:
                made = await http.post("/logs", content=json.dumps({"name": name}).encode())
                assert made.status_code == 201, made.text
                log = made.json()["log_id"]
                appended = await http.post(f"/logs/{log}/append", content=f"event of {name}".encode())
                assert appended.status_code == 201, appended.text
                receipts[name] = {"log_id": log, **appended.json()}

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return receipts


def heads(http: httpx.Client) -> dict[str, dict[str, object]]:
    """All logs as the list pages them."""
    found: dict[str, dict[str, object]] = {}
    after = ""
    while True:
        page = http.get("/logs", params={"limit": "300", **({"after": after} if after else {})}).json()
        found |= {log["name"]: log for log in page["logs"]}
        if page.get("next") is None:
            return found
        after = page["next"]


def test_two_thousand_logs_live_side_by_side_and_through_a_restart(tmp_path: Path) -> None:
    """Each has its one event and a head of its own before and after; none is refused at start."""
    with start_server(tmp_path) as server, server.client() as http:
        receipts = asyncio.run(make_all(server))
        before = heads(http)
        assert len(before) == LOGS + 1
        assert server.stop() == 0
    with start_server(tmp_path) as server, server.client() as http:
        assert heads(http) == before
        for name in list(receipts)[::50]:
            log = receipts[name]["log_id"]
            assert http.get(f"/logs/{log}/events/1/raw").content == f"event of {name}".encode()
            appended = http.post(f"/logs/{log}/append", content=b"second").json()
            assert appended["sequence"] == 2
            assert http.get(f"/logs/{log}/checkpoint").status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["details"]["refused_logs"] == 0
        assert server.stop() == 0
