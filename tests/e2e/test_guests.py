"""Guests in Rust, C, Python and JavaScript through the host: one contract, the same bytes from each.

The host runs in a child process. What the views answer is computed here a second time, in plain Python.
"""

import base64
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.guests import build
from tests.guests.drive import Child, code_folder

WRITERS = ("11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222")
TIME = 1_767_225_600_000_000
FACTS = [["log-id", "550e8400-e29b-41d4-a716-446655440000"], ["log-name", "tenant-acme"], ["origin", "x/y/1"]]
LIMITS = {"view_memory_bytes": 256 << 20, "query_seconds": 120.0, "fold_batch_seconds": 120.0}

READABLE = [
    ('{"type":"record.updated","actor":"user_8f3a","changes":{"status":["draft","sent"]}}', "record.updated"),
    ('{"type":"record.created"}', "record.created"),
    (' \t\r\n{ "type" : "spaced" } \n', "spaced"),
    ('{"type":"first","type":"last"}', "last"),
    ('{"\\u0074ype":"escaped name"}', "escaped name"),
    ('{"type":"\\u00e4\\ud83d\\ude00\\n\\"\\\\\\/"}', 'ä😀\n"\\/'),
    ('{"type":"ä😀\uff5a"}', "ä😀\uff5a"),
    ('{"type":"\\u0000\\u001f\\u007f"}', "\x00\x1f\x7f"),
    ('{"type":""}', ""),
    ('{"a":[1,-0,0.5,1e5,-1.5E-3,true,false,null,{"b":[]}],"type":"values"}', "values"),
    ('{"a":' + "1" * 5_000 + ',"type":"long number"}', "long number"),
    ('{"a":' + "[" * 60 + "]" * 60 + ',"type":"deep"}', "deep"),
    ('{"a":"\\ud800","type":"lone surrogate elsewhere"}', "lone surrogate elsewhere"),
    ('{"type":"\ue000"}', "\ue000"),
    ('{"type":"\U00010000"}', "\U00010000"),
]
UNTYPED = [
    "{}",
    '{"type":5}',
    '{"type":null}',
    '{"type":["a"]}',
    '{"Type":"a"}',
    '{"a":{"type":"b"}}',
    '{"type":true}',
]
UNREADABLE = [
    "[]",
    "null",
    "5",
    '"type"',
    '["type"]',
    "{",
    "}",
    "not json",
    '{"type":"a"} x',
    '{"type":"a"}{"type":"a"}',
    '{"type":"a",}',
    "{'type':'a'}",
    '{"type":NaN}',
    '{"type":"a","b":Infinity}',
    '{"type":01}',
    '{"type":1.}',
    '{"type":+1}',
    '{"type":"a\tb"}',
    '{"type":"\\x41"}',
    '{"type":"\\u12"}',
    '{"type":"\\ud800"}',
    '{"type":"a"}\x00',
    "\x00",
    " ",
    "[" * (1 << 20),
    '{"a":' * 200_000,
]
BINARY = [b"\xff\xfe\x00", b'{"type":"\xc3\x28"}', bytes(range(128, 256)), b"\xed\xa0\x80"]


def corpus() -> list[bytes]:
    """Return every shape of event among ordinary ones, in an order that is always the same."""
    shapes = (
        [text.encode() for text, _ in READABLE] + [text.encode() for text in UNTYPED + UNREADABLE] + BINARY
    )
    ordinary = [f'{{"type":"kind.{n % 230:03}","actor":"user_{n % 7}"}}'.encode() for n in range(700)]
    mixed = shapes + ordinary
    random.Random(7).shuffle(mixed)  # noqa: S311 - the same in every run
    return mixed


def b64(events: Sequence[bytes]) -> list[str]:
    """Return events as the child takes them."""
    return [base64.b64encode(event).decode() for event in events]


def writer_of(sequence: int) -> int:
    """Return which writer an event has."""
    return int(sequence % 3 == 0)


def append(first: int, events: Sequence[bytes]) -> list[object]:
    """Return the step that folds events whose writers and times follow from their sequences."""
    writers = [writer_of(first + place) for place in range(len(events))]
    return ["append", first, b64(events), WRITERS, writers, TIME + first]


def handed_over(event: bytes) -> str:
    """Return the text that a view sees of an event."""
    try:
        return event.decode()
    except UnicodeDecodeError:
        return base64.b64encode(event).decode()


def expected(events: Sequence[bytes]) -> dict[str, Any]:
    """Compute a tally's report from what the corpus says of each shape."""
    kinds = {text.encode(): name for text, name in READABLE}
    untyped = {text.encode() for text in UNTYPED}
    counts: Counter[str] = Counter()
    for event in events:
        if event in kinds:
            counts[kinds[event]] += 1
        elif event.startswith(b'{"type":"kind.'):
            counts[json.loads(event)["type"]] += 1
    lost = sum(event in untyped for event in events)
    last = len(events)
    return {
        "bytes": sum(len(handed_over(event).encode()) for event in events),
        "counts": dict(sorted(counts.items())),
        "erased": 0,
        "events": last,
        "first": {"sequence": 1, "time": TIME + 1},
        "last": {"sequence": last, "time": TIME + last},
        "unreadable": last - counts.total() - lost,
        "untyped": lost,
        "writers": {WRITERS[0]: last - last // 3, WRITERS[1]: last // 3},
    }


def as_json(value: object) -> str:
    """Write JSON as every tally does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def body(outcome: dict[str, Any]) -> str:
    """Return the text of an answer."""
    assert "body" in outcome, outcome
    return base64.b64decode(outcome["body"]).decode()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the guests."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.fixture(params=build.TALLIES)
def tally(request: pytest.FixtureRequest) -> Path:
    """Build one of the tallies, or skip with the command that gets its tool."""
    return build.need(request.param)


@pytest.fixture(params=build.MACHINES)
def machine(request: pytest.FixtureRequest) -> Path:
    """Build one of the machines, or skip with the command that gets its tool."""
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


def walk(events: Sequence[bytes], chance: random.Random, step: Any) -> list[list[object]]:
    """Return steps that fold all events in random batches, with questions and restores in between."""
    steps: list[list[object]] = [["open"]]
    done = 0
    while done < len(events):
        size = chance.choice((1, 2, 3, 7, 20, 90, 300))
        steps.append(step(done + 1, events[done : done + size]))
        done = min(len(events), done + size)
        kind = chance.randrange(4)
        if kind == 0:
            steps += [["snapshot"], ["reopen"]]
        if kind == 1:
            steps += [["query"], ["query", [["type", "record.created"]]]]
        if kind == 2:
            steps += [["snapshot"]]
    return [*steps, ["query"], ["snapshot"]]


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
