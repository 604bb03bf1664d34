"""The built-in view, shipped and rebuilt, against cases that were checked by hand.

A file of `tests/cases/compliance-report` has `events` and `questions`. An event is `{time, event}`, `{time,
text}`, `{time, hex}` or `{time, repeat: [text, times, …]}`. A question has `params`, `facts` (instants
written as RFC 3339), and what must come: `expect` (one answer), `pages` (one after the other, by cursor) or
`refused` (part of the reason). In what is expected an object names the members that matter, unless `exact`;
a list is whole.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.harness import reporting

from indelible.fold.compile import Compiler
from indelible.fold.errors import GuestError, NotAView, QueryRefused
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Compiled, Question
from indelible.model.instants import parse_instant
from indelible.model.limits import DEFAULT_LIMITS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "cases" / "compliance-report"
SHIPPED = Path(str(files("indelible.views"))) / "builtin" / "compliance-report.wasm"
WRITER = "550e8400-e29b-41d4-a716-446655440000"
ABSENT = "(absent)"

Json = Any


class Case(NamedTuple):
    """One log, and what is asked of it."""

    name: str
    first_sequence: int
    times: Sequence[int]
    payloads: Sequence[bytes]
    questions: Sequence[dict[str, Json]]


def _payload(event: dict[str, Json]) -> bytes:
    if "event" in event:
        return json.dumps(event["event"], ensure_ascii=False).encode()
    if "hex" in event:
        return bytes.fromhex(event["hex"])
    if "repeat" in event:
        parts = event["repeat"]
        return "".join(text * count for text, count in zip(parts[::2], parts[1::2], strict=True)).encode()
    return str(event["text"]).encode()


def _read_case(path: Path) -> Case:
    """Read one file."""
    case = json.loads(path.read_text())
    events = case["events"]
    return Case(
        path.stem,
        case.get("first_sequence", 1),
        [parse_instant(event["time"]) for event in events],
        [_payload(event) for event in events],
        case["questions"],
    )


def _all_cases() -> list[Case]:
    """Read every file."""
    return [_read_case(path) for path in sorted(FOLDER.glob("*.json"))]


def _feed(fold: Fold, case: Case, batch_events: int) -> None:
    """Fold a case's events in batches."""
    for start in range(0, len(case.payloads), batch_events):
        stop = start + batch_events
        fold.append(
            Batch(
                case.first_sequence + start,
                case.times[start:stop],
                case.payloads[start:stop],
                [WRITER],
            )
        )


def _question(asked: dict[str, Json], cursor: str | None = None) -> Question:
    """Make a question of what a case asks."""
    facts = [
        (name, str(parse_instant(value)) if name in ("window-from", "window-to") else value)
        for name, value in asked.get("facts", {}).items()
    ]
    more = [] if cursor is None else [("cursor", cursor)]
    return Question([*map(tuple, asked["params"]), *more], asked.get("body", ""), facts)


def _differences(expected: Json, got: Json, *, exact: bool = False, at: str = "") -> Iterator[str]:
    """Say where an answer is not what was expected."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in sorted(got.keys() - expected.keys()) if exact else ():
            yield f"{at}.{name} is there"
        for name, value in expected.items():
            yield from _differences(value, got.get(name, ABSENT), exact=exact, at=f"{at}.{name}")
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield f"{at} has {len(got)} elements, not {len(expected)}: {got!r}"
            return
        for place, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(one, other, exact=exact, at=f"{at}[{place}]")
    elif type(expected) is not type(got) or expected != got:
        yield f"{at} is {got!r}, not {expected!r}"


CASES = _all_cases()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled code is kept for this file's tests."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[Host]:
    """One host for all."""
    with Host(folder, DEFAULT_LIMITS) as host:
        yield host


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component as these sources and this machine's compiler make it."""
    return reporting.rebuilt(tmp_path_factory.mktemp("rebuilt"), SHIPPED)


@pytest.fixture(
    scope="module",
    params=["shipped", pytest.param("rebuilt", marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])],
)
def view(request: pytest.FixtureRequest, folder: Path) -> Compiled:
    """Every test runs with the shipped component, and with the rebuilt one where Rust is there."""
    path: Path = SHIPPED if request.param == "shipped" else request.getfixturevalue("rebuilt")
    return Compiler(folder, DEFAULT_LIMITS).compile(path.read_bytes())


def _ask(fold: Fold, asked: Question) -> dict[str, object]:
    answer = fold.query(asked)
    assert answer.content_type == "application/json"
    parsed: dict[str, object] = json.loads(answer.body)
    assert list(parsed) == ["changes_by_resource", "actions_by_actor", "cover"]
    return parsed


def _check(fold: Fold, asked: dict[str, object]) -> Iterator[str]:
    about = str(asked["about"])
    if "refused" in asked:
        with pytest.raises(QueryRefused) as refused:
            fold.query(_question(asked))
        assert refused.value.kind == "invalid", about
        assert str(asked["refused"]) in refused.value.text, about
        return
    cursor = None
    pages = asked.get("pages", [asked.get("expect")])
    assert isinstance(pages, list)
    for page in pages:
        got = _ask(fold, _question(asked, cursor))
        yield from (f"{about}: {line}" for line in _differences(page, got, exact="exact" in asked))
        cover = got["cover"]
        assert isinstance(cover, dict)
        cursor = cover["next"]


@pytest.mark.parametrize("batch_events", [1, 1_000])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_answers_are_those_checked_by_hand(view: Compiled, host: Host, case: Case, batch_events: int) -> None:
    """Every shape, window, filter, page and refusal answers as written down, wherever batches end."""
    with host.open(view, "", []) as fold:
        _feed(fold, case, batch_events)
        assert [line for asked in case.questions for line in _check(fold, asked)] == []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_restored_view_answers_the_same(view: Compiled, host: Host, case: Case) -> None:
    """A snapshot taken half-way, restored and folded on gives every answer again, byte for byte."""
    half = len(case.payloads) // 2
    first = case._replace(times=case.times[:half], payloads=case.payloads[:half])
    rest = case._replace(
        first_sequence=case.first_sequence + half, times=case.times[half:], payloads=case.payloads[half:]
    )
    with host.open(view, "{}", []) as straight, host.open(view, "", []) as before:
        _feed(straight, case, 1_000)
        _feed(before, first, 3)
        with host.reopen(view, "", [], list(before.snapshot())) as after:
            _feed(after, rest, 2)
            for asked in case.questions:
                if "refused" not in asked:
                    assert after.query(_question(asked)) == straight.query(_question(asked))
            assert list(after.snapshot()) == list(straight.snapshot())


def test_what_is_shipped_is_what_its_digest_says() -> None:
    """The component beside its digest was not replaced alone."""
    digest, name = SHIPPED.with_name(SHIPPED.name + ".sha256").read_text().split()
    assert name == SHIPPED.name
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == digest


def test_it_describes_what_it_takes(view: Compiled, host: Host) -> None:
    """`describe` has the title and a schema of every parameter, and init takes no settings."""
    described = json.loads(host.trial(view, "", []))
    assert described["title"] == "Compliance report"
    assert set(described["parameters"]["properties"]) == {"actor", "resource", "type", "limit", "cursor"}
    with pytest.raises(NotAView, match="no settings"):
        host.trial(view, '{"limit": 5}', [])
    with pytest.raises(NotAView, match="not a JSON object"):
        host.trial(view, "[]", [])


def test_a_gap_is_refused(view: Compiled, host: Host) -> None:
    """A batch that does not follow what was folded is an error, never a silent hole in a report."""
    with host.open(view, "", []) as fold:
        fold.append(Batch(1, [5], [b"{}"], ["w"]))
        with pytest.raises(GuestError, match="sequence 2 should follow, 3 came"):
            fold.append(Batch(3, [6], [b"{}"], ["w"]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: ["A" + parts[0][1:]],
        lambda parts: [parts[0][:-8]],
        lambda parts: [parts[0], parts[0]],
        lambda _: [""],
        lambda _: ["not base64"],
        lambda parts: [parts[0][:200] + ("A" if parts[0][200] != "A" else "B") + parts[0][201:]],
    ],
)
def test_a_damaged_snapshot_is_refused(view: Compiled, host: Host, damage: object) -> None:
    """A state is restored whole and as it was written, or not at all."""
    assert callable(damage)
    with host.open(view, "", []) as fold:
        _feed(fold, CASES[0], 1_000)
        parts = [part for part in fold.snapshot() if isinstance(part, str)]
    with pytest.raises(GuestError):
        host.reopen(view, "", [], damage(parts)).close()


def test_pages_do_not_move_when_events_come_in_between(view: Compiled, host: Host) -> None:
    """A cursor answers as of the first page's last event, however far the log has grown since."""
    event = b'{"type":"t","actor":"a","resource":"r","changes":{"x":[1,2]}}'
    with host.open(view, "", []) as fold:
        fold.append(Batch(1, [1] * 6, [event] * 6, ["w"]))
        first = _ask(fold, Question([("limit", "4")], "", []))
        fold.append(Batch(7, [2] * 6, [event] * 6, ["w"]))
        cover = first["cover"]
        assert isinstance(cover, dict)
        second = _ask(fold, Question([("limit", "4"), ("cursor", cover["next"])], "", []))
        expected = {"events_folded": 6, "last_folded": 6, "rows": 6, "rows_given": 2, "truncated": False}
        assert list(_differences({"cover": expected}, second)) == []
        with pytest.raises(QueryRefused, match="does not belong to this question"):
            fold.query(Question([("actor", "a"), ("cursor", cover["next"])], "", []))


def test_an_answer_ends_before_it_is_too_large(view: Compiled, host: Host) -> None:
    """Rows of the greatest size make shorter pages that say so, never an answer over the limit."""
    value = "v" * 4_000
    payloads = [
        json.dumps({"type": "t", "resource": "r", "changes": {f"f{place}": [value + "a", value]}}).encode()
        for place in range(10_000)
    ]
    with host.open(view, "", []) as fold:
        for start in range(0, len(payloads), 100):
            fold.append(Batch(start + 1, [1] * 100, payloads[start : start + 100], ["w"]))
        given, cursor = 0, None
        while given < len(payloads):
            answer = fold.query(_question({"params": [["limit", "10000"]]}, cursor))
            assert len(answer.body) < DEFAULT_LIMITS.answer_bytes
            cover = json.loads(answer.body)["cover"]
            assert cover["rows_given"] > 0
            given += cover["rows_given"]
            cursor = cover["next"]
            assert cover["truncated"] == (given < len(payloads))
        assert cursor is None
