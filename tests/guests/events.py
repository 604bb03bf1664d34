"""The events that every guest is shown, and what a tally must answer to them, computed a second time."""

import base64
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

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
