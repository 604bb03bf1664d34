"""Commands of the program with pins of their own, and a log that they look at."""

import json
import os
import subprocess
from pathlib import Path

from tests.harness.operating import NDJSON, PROGRAM
from tests.harness.server import RunningServer


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command with pins of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INDELIBLE_")}
    return {**kept, "INDELIBLE_PINS": str(folder / "pins"), **more}


def run(folder: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def grow(server: RunningServer, log: str, events: int) -> None:
    """Append events, and have them published."""
    with server.client() as client:
        body = "\n".join(json.dumps({"n": number}) for number in range(events))
        made = client.post(f"/logs/{log}/append_batch", content=body, headers=NDJSON).raise_for_status()
        last = made.json()["last_sequence"]
        client.get(f"/logs/{log}/proof/inclusion", params={"sequence": last}).raise_for_status()
