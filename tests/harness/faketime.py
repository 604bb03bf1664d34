"""A wall clock of a process that a test moves, through libfaketime."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

NEEDS_FAKETIME = "needs libfaketime: apt-get install libfaketime"


def faking(hands: Path) -> dict[str, str]:
    """The environment in which the wall clock follows a file, and no other clock does."""
    places = ("lib/*/faketime", "lib/faketime", "lib64/faketime", "local/lib/faketime")
    found = [file for place in places for file in Path("/usr").glob(f"{place}/libfaketimeMT.so.1")]
    if not found:
        pytest.skip(NEEDS_FAKETIME)
    environment = {
        "LD_PRELOAD": str(found[0]),
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_TIMESTAMP_FILE": str(hands),
        "FAKETIME_NO_CACHE": "1",
    }
    look = "import json, time; print(json.dumps([time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)]))"
    hands.write_text("+1000")
    said = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, check=True)
    wall, boot = json.loads(said.stdout)
    hands.write_text("+0")
    if wall < time.time() + 900 or abs(boot - time.clock_gettime(time.CLOCK_BOOTTIME)) > 60:
        pytest.skip(f"{NEEDS_FAKETIME} (0.9.10 or later: this one moves the wrong clocks)")
    return environment
