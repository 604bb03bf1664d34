"""The machine "senses" in Python, built with WASI imports: shows all that it can sense of its host.

Two folds of the same events must give the same answers, so all of it must come from the events.
"""
# ruff: noqa: D102 - the contract in wit/ documents these methods

import json
import os
import random
import time
from pathlib import Path

from wit_world import exports  # type: ignore[import-not-found]  # made by the build


def sense() -> dict[str, object]:
    """Look at the clock, the randomness, the environment and the files."""
    try:
        files = [path.name for path in Path("/").iterdir()]
    except OSError as error:
        files = [type(error).__name__]
    try:
        files.append(Path("/etc/hostname").read_text())
    except OSError as error:
        files.append(type(error).__name__)
    print("this goes nowhere")  # noqa: T201 - a guest that prints
    return {
        "environment": dict(os.environ),
        "files": files,
        "monotonic_ns": time.monotonic_ns(),
        "random": os.urandom(16).hex(),
        "shuffled": random.SystemRandom().random(),
        "time_ns": time.time_ns(),
    }


class State:
    """The number of events, and what was sensed at each of the last ones."""

    def __init__(self) -> None:
        self.events = 0
        self.sensed: list[dict[str, object]] = []


# At the module, not in `Machine`: componentize-py makes an instance of its class for each exported function.
state = State()


class Machine(exports.Machine):  # type: ignore[misc]  # the base is made by the build
    """The exported interface."""

    def init(self) -> None:
        state.__dict__ = State().__dict__

    def append(self, event: bytes) -> None:
        state.events += 1
        state.sensed = [*state.sensed[-9:], sense() | {"event": event.hex()}]

    def query(self, asked: bytes) -> bytes:
        report = {"events": state.events, "input": asked.hex(), "now": sense(), "sensed": state.sensed}
        return json.dumps(report, sort_keys=True).encode()

    def snapshot(self) -> bytes:
        return json.dumps([state.events, state.sensed]).encode()

    def restore(self, snapshot: bytes) -> None:
        state.events, state.sensed = json.loads(snapshot)
