"""The program in docs/formats.md that reads a segment, run on what a server archived."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness.archiving import QUICK, archived, grow
from tests.harness.server import start_server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def program() -> str:
    """The program as it is shown."""
    (found,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("events", ["256", "16384"])
def test_the_program_of_thirty_lines_prints_every_event(tmp_path: Path, events: str) -> None:
    """Of several segments, writers and commits: each payload, and the leaf hash that the receipt had."""
    limits = {**QUICK, "INDELIBLE_LIMIT_ARCHIVE_SEGMENT_EVENTS": events}
    leaves = {}
    with start_server(tmp_path / "data", "--archive", env=limits) as server, server.client() as http:
        log_id = http.post("/logs", json={"name": "log"}).json()["log_id"]
        secret = http.post("/keys", json={"label": "w", "scopes": ["append"]}).json()["secret"]
        grow(http, f"/logs/{log_id}", 600, "key")
        with server.client(secret) as other:
            for number in range(30):
                client = other if number % 2 else http
                headers = {"idempotency-key": f"k{number}"}
                receipt = client.post(f"/logs/{log_id}/append", json={"x": number}, headers=headers).json()
                leaves[receipt["sequence"]] = receipt["leaf_hash"]
        archived(http)
        shown = [
            http.get(f"/logs/{log_id}/events/{sequence}/raw").content.decode() for sequence in range(1, 631)
        ]
    segments = sorted((tmp_path / "data" / "objects" / "events" / log_id).iterdir())
    assert len(segments) >= (3 if events == "256" else 1)
    script = tmp_path / "read.py"
    script.write_text(program())
    assert len(program().splitlines()) <= 36
    done = subprocess.run(
        [sys.executable, "-I", script, *segments], capture_output=True, text=True, check=True
    )
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["sequence"] for event in read] == list(range(1, 631))
    assert [event["payload"] for event in read] == shown
    assert {event["sequence"]: event["leaf_hash"] for event in read[600:]} == leaves
    broken = tmp_path / "broken"
    data = bytearray(segments[0].read_bytes())
    data[-1] ^= 1
    broken.write_bytes(bytes(data))
    assert subprocess.run([sys.executable, "-I", script, broken], capture_output=True, check=False).returncode
