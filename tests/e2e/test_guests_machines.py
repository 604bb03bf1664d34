"""Machines in C and Python through the host: exact bytes in, exact bytes out, nothing sensed but the events.

The host runs in a child process.
"""

import base64
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.guests import build
from tests.guests.drive import Child, code_folder
from tests.guests.events import BINARY, LIMITS, TIME, WRITERS, b64, body, corpus, walk


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the guests."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.fixture(params=build.MACHINES)
def machine(request: pytest.FixtureRequest) -> Path:
    """Build one of the machines, or skip with the command that gets its tool."""
    return build.need(request.param)


def machine_append(first: int, events: Sequence[bytes]) -> list[object]:
    """Return the step that folds events into a machine."""
    return ["append", first, b64(events), WRITERS[:1], [], TIME + first]


@pytest.mark.parametrize("seed", range(2))
def test_a_machine_sees_nothing_but_its_events(child: Child, machine: Path, seed: int) -> None:
    """Two folds give the same bytes: clock and randomness come from the events, batches do not show."""
    events = [event for event in corpus() if len(event) < 1_000][:120]
    ask: list[object] = ["query", [], "a question"]
    straight = child.run(machine, [["open"], machine_append(1, events), ask], limits=LIMITS)[-1]
    steps = [*walk(events, random.Random(seed), machine_append)[:-2], ask]  # noqa: S311 - a seed names a run
    winding = child.run(machine, steps, limits=LIMITS)[-1]
    assert body(winding) == body(straight)


def fnv(events: Sequence[bytes]) -> str:
    """Return FNV-1a of all bytes in their order, as the machines write it."""
    total = 14695981039346656037
    for byte in b"".join(events):
        total = (total ^ byte) * 1099511628211 & ((1 << 64) - 1)
    return f"{total:016x}"


@pytest.mark.parametrize("name", ["machine-c", "machine-python"])
def test_a_machine_gets_the_exact_bytes(child: Child, name: str) -> None:
    """Events that are no text, an empty question as JSON of the parameters, and a body as it is."""
    events = [*BINARY, b'{"type":"a"}', bytes(range(256)) * 64]
    steps: list[list[object]] = [["open"], machine_append(1, events)]
    steps += [
        ["query", [["a", "1"], ["b", "2"], ["a", "3"]]],
        ["query", [["a", "1"]], "body"],
        ["query", [], "raw"],
    ]
    params, given, raw = child.run(build.need(name), steps, limits=LIMITS)[-3:]
    report = {"bytes": sum(map(len, events)), "events": len(events), "hash": fnv(events)}
    assert json.loads(body(params)) == report | {"input": b'{"a":["1","3"],"b":"2"}'.hex()}
    assert json.loads(body(given)) == report | {"input": b"body".hex()}
    assert (params["type"], raw["type"]) == ("application/json", "application/octet-stream")
    assert base64.b64decode(raw["body"]) == bytes(range(256))


@pytest.mark.parametrize("name", ["machine-c", "machine-python"])
@pytest.mark.parametrize(("event", "kind"), [(b"trap", None), (b"loop", "fuel")])
def test_a_machine_fails_at_its_event(child: Child, name: str, event: bytes, kind: str | None) -> None:
    """A machine has no way to refuse an event but to trap; both kinds are decided."""
    limits = LIMITS | {"fold_fuel_per_batch": 500_000_000}
    outcome = child.run(build.need(name), [["open"], machine_append(1, [b"fine", event])], limits=limits)[-1]
    assert outcome.get("error") == "GuestTrap", outcome
    assert kind is None or outcome["kind"] == kind


@pytest.mark.parametrize("name", ["machine-c", "machine-python"])
def test_a_machine_that_answers_too_much_loses_its_instance(child: Child, name: str) -> None:
    """Eighty mebibytes cannot be lifted byte by byte; the question fails and the host lives."""
    limits = {"view_memory_bytes": 1 << 30}
    outcome = child.run(build.need(name), [["open"], ["query", [], "big"]], limits=limits)[-1]
    assert (outcome.get("error"), outcome.get("usable")) == ("AnswerTooLarge", False), outcome


def test_a_machine_with_senses_senses_the_log(child: Child) -> None:
    """With WASI imports: the clock is the event's time, randomness differs by event, the rest is empty."""
    steps: list[list[object]] = [["open"], machine_append(1, [b"a", b"b"]), ["query"], ["query"]]
    outcomes = child.run(build.need("machine-python-wasi"), steps, limits=LIMITS)
    report = json.loads(body(outcomes[-1]))
    assert body(outcomes[-1]) == body(outcomes[-2])
    first, second = report["sensed"]
    assert [first["time_ns"], second["time_ns"]] == [(TIME + 1) * 1000, (TIME + 2) * 1000]
    assert first["random"] != second["random"]
    assert first["environment"] == {}
    assert report["now"]["time_ns"] == (TIME + 2) * 1000
    assert all(name.endswith("Error") for name in first["files"])
