"""A thousand views on one server: memory stays within its bound, all answer, and each has its metrics."""

import json
import random
import re
from pathlib import Path

import httpx
from tests.harness.server import RunningServer, start_server

LOGS, VIEWS_A_LOG, ASKED = 10, 100, 40
ROOM_MIB = 48
"""Room for some forty of them."""

BESIDE_MIB = 160
"""What the process takes beside the views."""

_METRIC = re.compile(
    r'^indelible_view_(\w+)\{log_id="([^"]+)",version="1",view_id="([^"]+)"\} (\S+)$', re.MULTILINE
)


def test_a_thousand_views_have_bounded_memory_and_all_answer(tmp_path: Path) -> None:
    """Few fit into memory at once; the others leave a snapshot and come back when they are asked."""
    room = {"INDELIBLE_LIMIT_RESIDENT_VIEWS_BYTES": str(ROOM_MIB << 20)}
    with start_server(tmp_path, env=room) as server, server.client() as http:
        logs = [make_log(http, number) for number in range(LOGS)]
        for log in logs:
            for number in range(VIEWS_A_LOG):
                deployed = http.post(
                    f"/logs/{log}/views/v{number}", content=b'{"builtin":"compliance-report"}'
                )
                assert deployed.status_code == 201, deployed.text
        everyone = [(log, at) for log in logs for at in range(VIEWS_A_LOG)]
        chosen = random.Random(20_26).sample(everyone, ASKED)  # noqa: S311 - which of them is no secret
        for log, number in chosen:
            answer = http.post(f"/logs/{log}/views/v{number}/query")
            assert answer.status_code == 200, answer.text
            assert answer.headers["indelible-sequence"] == "2"
            assert answer.json()["cover"]["events_folded"] == 2
        assert resident_mib(http) <= ROOM_MIB
        assert anonymous_mib(server) < ROOM_MIB + BESIDE_MIB
        check_metrics(http, [f"/logs/{log}/views/v{number}" for log, number in chosen])


def make_log(http: httpx.Client, number: int) -> str:
    """A log with two events."""
    log = str(http.post("/logs", content=json.dumps({"name": f"log-{number}"}).encode()).json()["log_id"])
    for event in (b'{"type":"a.b","actor":"x"}', b"no JSON"):
        http.post(f"/logs/{log}/append", content=event).raise_for_status()
    return log


def resident_mib(http: httpx.Client) -> float:
    """What all views hold in memory, as the metrics have it."""
    (line,) = [
        line
        for line in http.get("/metrics").text.splitlines()
        if line.startswith("indelible_resident_views_bytes ")
    ]
    return float(line.split()[1]) / (1 << 20)


def anonymous_mib(server: RunningServer) -> float:
    """Memory of the process that is no file's."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) / 1024


def check_metrics(http: httpx.Client, asked: list[str]) -> None:
    """Each view that was asked has counted its events, its question and its fuel, and lags by nothing."""
    found: dict[str, dict[str, float]] = {}
    for name, log, view, value in _METRIC.findall(http.get("/metrics").text):
        found.setdefault(f"{log} {view}", {})[name] = float(value)
    for path in asked:
        log = path.split("/")[2]
        figures = found[f"{log} {http.get(path).json()['view_id']}"]
        assert figures["events_total"] >= 2
        assert figures["queries_total"] == 1
        assert figures["fuel_total"] > 0
        assert figures["query_seconds_total"] > 0
        assert figures["behind_events"] == 0
