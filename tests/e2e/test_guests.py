"""Views in Rust, C, Python and JavaScript through the host: one contract, the same bytes from each.

The host runs in a child process.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guests import build
from tests.guests.drive import Child, code_folder
from tests.guests.events import FACTS, LIMITS, append, as_json, b64, body, corpus, expected, walk


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the guests."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.fixture(params=build.TALLIES)
def tally(request: pytest.FixtureRequest) -> Path:
    """Build one of the tallies, or skip with the command that gets its tool."""
    return build.need(request.param)


def test_every_language_answers_the_same_bytes(child: Child, tally: Path) -> None:
    """Every shape of event, ours and broken: the report is that of the model, byte for byte."""
    events = corpus()
    outcomes = child.run(
        tally, [["trial"], ["open"], append(1, events), ["query"]], facts=FACTS, limits=LIMITS
    )
    assert outcomes[-1].get("type") == "application/json", outcomes[-1]
    assert body(outcomes[-1]) == as_json(expected(events))


def test_a_view_describes_itself(child: Child, tally: Path) -> None:
    """`describe` gives title, description and a JSON Schema, before `init` as after it."""
    described = json.loads(child.run(tally, [["trial"]], facts=FACTS, limits=LIMITS)[-1]["describe"])
    assert described["title"] == "Tally"
    assert described["parameters"]["properties"]["type"]["type"] == "array"


def test_a_question_arrives_whole_and_in_order(child: Child, tally: Path) -> None:
    """Parameters with repeats, body, facts and what `init` was given come through unchanged, any text."""
    params = [["type", "b"], ["echo", "ä\x00\n😀"], ["type", "a"], ["type", "b"], ["echo", ""]]
    facts = [["basis", "received"], ["window-from", "1"], ["basis", "again"]]
    config = ' { "fail-at" : 0 } '
    steps = [["open"], append(1, [b'{"type":"a"}']), ["query", params, "body\r\n\x01ä", facts]]
    answer = json.loads(body(child.run(tally, steps, config=config, facts=FACTS, limits=LIMITS)[-1]))
    assert answer["counts"] == {"a": 1, "b": 0}
    assert answer["~echo"] == {
        "body": "body\r\n\x01ä",
        "config": config,
        "facts": facts,
        "init": FACTS,
        "params": params,
    }


def test_refusals_leave_the_view_standing(child: Child, tally: Path) -> None:
    """An unknown parameter is `invalid`, a failure is `failed`, and the next question is answered."""
    steps = [["open"], ["query", [["colour", "red"]]], ["query", [["boom", "fail"]]], ["query"]]
    _, _, invalid, failed, fine = child.run(tally, steps, facts=FACTS, limits=LIMITS)
    assert (invalid["error"], invalid["kind"]) == ("QueryRefused", "invalid")
    assert invalid["text"] == "unknown parameter colour; known: boom, echo, type"
    assert (failed["error"], failed["kind"], failed["text"]) == ("QueryRefused", "failed", "told to fail")
    assert invalid["usable"]
    assert failed["usable"]
    assert json.loads(body(fine))["events"] == 0


@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        ("trap", "GuestTrap", None),
        ("loop", "GuestTrap", "fuel"),
        ("big", "AnswerTooLarge", None),
    ],
)
def test_a_question_that_hurts_takes_its_instance_only(
    child: Child, tally: Path, how: str, error: str, kind: str | None
) -> None:
    """A trap, an endless loop and 100 MiB end the instance; a fresh one answers as before."""
    events = corpus()[:50]
    if tally.stem == "tally-js" and how == "big":
        error, kind = "GuestTrap", "fuel"  # its engine needs more than 40e9 of fuel to encode 100 MiB
    fuel = 500_000_000 if how == "loop" else 2_000_000_000
    limits = {"query_fuel": fuel, "query_seconds": 120.0, "view_memory_bytes": 1 << 30}
    hurt = child.run(tally, [["open"], ["query", [["boom", how]]]], limits=limits)[-1]
    assert (hurt.get("error"), hurt.get("usable")) == (error, False), hurt
    assert kind is None or hurt["kind"] == kind
    steps = [["open"], append(1, events), ["snapshot"], ["reopen"], ["query"]]
    assert body(child.run(tally, steps, limits=LIMITS)[-1]) == as_json(expected(events))


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ('{"fail-at":7}', "GuestError"),
        ('{"trap-at":7}', "GuestTrap"),
        ('{"trap-at":8,"fail-at":7}', "GuestError"),
        ('{"trap-at":7,"fail-at":8}', "GuestTrap"),
        ('{"trap-at":7,"fail-at":7}', "GuestError"),
    ],
)
def test_an_append_fails_at_its_event(child: Child, tally: Path, config: str, error: str) -> None:
    """Batches before the event fold; the batch that holds it fails, and the instance is gone."""
    events = corpus()[:12]
    steps = [["open"], append(1, events[:6]), append(7, events[6:])]
    outcomes = child.run(tally, steps, config=config, limits=LIMITS)
    assert len(outcomes) == 4
    assert outcomes[-1].get("error") == error, outcomes[-1]
    assert outcomes[-1]["usable"] is False
    assert error != "GuestError" or outcomes[-1]["text"] == "told to fail at 7"


@pytest.mark.parametrize(
    "config", ["{", "[]", "null", '"fail-at"', '{"fail-at":"7"}', '{"fail-at":-1}', '{"colour":1}']
)
def test_a_configuration_is_refused_at_deploy(child: Child, tally: Path, config: str) -> None:
    """What `init` says to a configuration it does not take reaches whoever deploys."""
    outcome = child.run(tally, [["trial"]], config=config, limits=LIMITS)[-1]
    assert outcome.get("error") == "NotAView", outcome
    assert "config takes only fail-at and trap-at" in outcome["reason"]


@pytest.mark.parametrize(
    "parts", [["nonsense"], ["tally 2 0\n"], [""], ["tally 1 0 0 0 0 0 0 0 0 0\n", "x 1 y\n"]]
)
def test_another_snapshot_is_refused(child: Child, tally: Path, parts: list[str]) -> None:
    """`restore` refuses what its `snapshot` did not give."""
    given = b64([part.encode() for part in parts])
    outcome = child.run(tally, [["open"], ["reopen", given]], limits=LIMITS)[-1]
    assert outcome.get("error") == "GuestError", outcome
    assert outcome["text"] == "not a snapshot of a tally"


def test_a_byte_order_mark_is_no_json(child: Child, tally: Path) -> None:
    """An event that begins with U+FEFF is unreadable; the engine of the JavaScript guest drops the mark."""
    steps = [["open"], append(1, ['\ufeff{"type":"a"}'.encode()]), ["query"]]
    report = json.loads(body(child.run(tally, steps, limits=LIMITS)[-1]))
    dropped = tally.stem == "tally-js"
    assert (report["bytes"], report["unreadable"]) == ((12, 0) if dropped else (15, 1))


@pytest.mark.parametrize("levels", [300, 501, 100_000, 500_000])
def test_deep_nesting_is_read_or_counted(child: Child, tally: Path, levels: int) -> None:
    """JSON of any depth harms no guest; that in Python reads 500 levels and counts what is deeper."""
    event = b'{"type":"deep","a":' + b"[" * levels + b"]" * levels + b"}"
    steps = [["open"], append(1, [event, b"{}"]), ["query"]]
    report = json.loads(body(child.run(tally, steps, limits=LIMITS)[-1]))
    counted = levels > 499 and tally.stem == "tally-python"
    assert (report["counts"].get("deep", 0), report["unreadable"]) == ((0, 1) if counted else (1, 0))


def test_snapshots_pass_between_languages(child: Child) -> None:
    """The tallies give the same parts, several of them, so each can go on from the parts of any other."""
    events = corpus()
    parts: list[str] = []
    for name in build.TALLIES:
        steps: list[list[object]] = [["open"], append(1, events), ["snapshot"]]
        given = child.run(build.need(name), steps, limits=LIMITS)[-1]["parts"]
        assert len(given) >= 3
        assert parts in ([], given), name
        parts = given
        restored = child.run(build.need(name), [["open"], ["reopen", parts], ["query"]], limits=LIMITS)[-1]
        assert body(restored) == as_json(expected(events)), name


@pytest.mark.parametrize("seed", range(3))
def test_the_way_to_a_state_does_not_show(child: Child, tally: Path, seed: int) -> None:
    """Batch sizes, snapshots, restores and questions in between: the same answer and the same snapshot."""
    events = corpus()
    straight = child.run(tally, [["open"], append(1, events), ["query"], ["snapshot"]], limits=LIMITS)
    steps = walk(events, random.Random(seed), append)  # noqa: S311 - a seed names a run
    winding = child.run(tally, steps, limits=LIMITS)
    assert len(winding) == len(steps) + 1, winding[-1]
    assert body(winding[-2]) == body(straight[-2]) == as_json(expected(events))
    assert winding[-1]["parts"] == straight[-1]["parts"]
