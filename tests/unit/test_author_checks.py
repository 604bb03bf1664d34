"""`indelible view test` on views that keep the contract and on views that break one part of it each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.harness.wat import wasm

from indelible.author.checks import STRAIGHT, check_all
from indelible.author.play import Player
from indelible.author.subject import Subject, compile_component, parse_ask
from indelible.author.trail import Trail, read_trail
from indelible.cli.root import main
from indelible.fold.host import Host
from indelible.fold.types import Batch
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS

STATE = '(data (i32.const 2048) "A")'
"""One letter is the state: it goes on by one for each event, and begins again after P."""

FINE = "(i32.store (i32.const 0) (i32.const 0))"
HONEST = {
    "extra": f"""{STATE}
        (func $go (param i32) (i32.store8 (i32.const 2048) (i32.add (i32.const 65) (i32.and (i32.const 15)
            (i32.add (local.get 0) (i32.sub (i32.load8_u (i32.const 2048)) (i32.const 65)))))))""",
    "append": f"(global.set $top (i32.const 4096)) (call $go (local.get 4)) {FINE} (i32.const 0)",
    "query": f"""(i32.store (i32.const 4) (i32.const 264)) (i32.store (i32.const 8) (i32.const 16))
        (i32.store (i32.const 12) (i32.const 2048)) (i32.store (i32.const 16) (i32.const 1))
        {FINE} (i32.const 0)""",
    "snapshot": """(i32.store (i32.const 0) (i32.eqz (local.get 0)))
        (i32.store (i32.const 4) (i32.const 2048)) (i32.store (i32.const 8) (i32.const 1)) (i32.const 0)""",
    "restore": f"(i32.store8 (i32.const 2048) (i32.load8_u (local.get 1))) {FINE} (i32.const 0)",
}
FORGETS = f"{FINE} (i32.const 0)"
BROKEN = {
    "batches": {"append": HONEST["append"].replace("(call $go (local.get 4))", "(call $go (i32.const 1))")},
    "questions": {"query": "(call $go (i32.const 1)) " + HONEST["query"]},
    "questions-by-snapshot": {"snapshot": "(call $go (i32.eqz (local.get 0))) " + HONEST["snapshot"]},
    "restored": {"restore": FORGETS},
}
"""What is checked, and a view that breaks it and nothing else."""

LINES = b"".join(b'{"n": %d}\n' % number for number in range(1, 31))


class Tried(NamedTuple):
    """What a run of the command came to."""

    code: int
    report: dict[str, Any]


@pytest.fixture
def try_view(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Tried]:
    """Give the command on a component whose parts are replaced, over thirty events."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(*options: str, lines: bytes = LINES, **parts: str) -> Tried:
        (tmp_path / "view.wasm").write_bytes(wasm(**{**HONEST, **parts}))
        (tmp_path / "events.ndjson").write_bytes(lines)
        command = ["view", "test", str(tmp_path / "view.wasm"), "--json", *options]
        code = main([*command, "--events", str(tmp_path / "events.ndjson")])
        out, err = capfd.readouterr()
        return Tried(code, json.loads(out or err))

    return run


def differences(report: dict[str, Any]) -> dict[str, Any]:
    """Return the differences that a report has, by the name of their check."""
    return {check["name"]: check["difference"] for check in report["checks"] if not check["passed"]}


def test_an_honest_view_passes(try_view: Callable[..., Tried]) -> None:
    """Every check passes, none is skipped, and the figures are those of the run."""
    code, report = try_view()
    assert (code, report["passed"], differences(report)) == (0, True, {})
    assert [check["name"] for check in report["checks"]] == ["repeated", "batches", "questions", "restored"]
    assert not any("skipped" in check for check in report["checks"])
    assert (report["events"], report["batches"]) == (30, 1)
    assert report["fuel_per_event"] > 0
    assert report["memory_bytes"] == 16 << 16
    assert report["snapshot"] == {"parts": 1, "bytes": 1}
    assert report["questions"][0]["text"] == "O"  # thirty letters after A


@pytest.mark.parametrize("broken", BROKEN)
def test_what_breaks_the_contract_is_caught(broken: str, try_view: Callable[..., Tried]) -> None:
    """Each check finds the view that breaks it, and names the first event, the byte and both sides."""
    code, report = try_view(**BROKEN[broken])
    assert (code, report["passed"]) == (1, False)
    found = differences(report)
    name = broken.partition("-")[0]
    assert name in found
    difference = found[name]
    assert difference["offset"] == 0
    assert difference["straight"] != difference["otherwise"]
    assert difference["what"].startswith("the answer to ?") or difference["what"] == "the snapshot"
    # Batches differ from the second event on; the others differ with the first.
    assert difference["event"] == (2 if name == "batches" else 1)


def test_only_the_check_that_is_broken_says_so(try_view: Callable[..., Tried]) -> None:
    """A view that forgets when it is restored is fine in all else."""
    _, report = try_view(**BROKEN["restored"])
    assert set(differences(report)) == {"restored"}


class Unsteady(Trail):
    """A trail whose events are others when they are handed out again: a world in which runs do not repeat."""

    handed_out: list[int] = []  # noqa: RUF012 - shared by all runs on purpose

    def batch(self, first: int, last: int) -> Batch:
        """Leave the last event out of every run but the first."""
        self.handed_out.append(first)
        batch = super().batch(first, last)
        return batch if len(self.handed_out) == 1 else batch._replace(payloads=(), times=())


def test_a_run_that_does_not_repeat_is_caught(tmp_path: Path) -> None:
    """A view without imports cannot do otherwise a second time, so its events are made to."""
    compiled = compile_component(wasm(**HONEST), tmp_path, DEFAULT_LIMITS)
    asks = [parse_ask("", compiled.world, DEFAULT_LIMITS)]
    with Host(tmp_path, DEFAULT_LIMITS) as host:
        trail = Unsteady([b"{}", b"{}"], 0)
        subject = Subject(host, compiled, "", trail, asks, DEFAULT_LIMITS)
        expected = Player(subject).play(STRAIGHT, 2)
        found = next(check_all(subject, expected, 0))
    assert (found.name, found.passed) == ("repeated", False)


REFUSES_THE_FIFTH = """(if (i64.le_u (local.get 0) (i64.const 5)) (then
    (if (i64.gt_u (i64.add (local.get 0) (i64.extend_i32_u (local.get 4))) (i64.const 5)) (then
        (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 300))
        (i32.store (i32.const 8) (i32.const 4)) (return (i32.const 0))))))"""


def test_a_view_that_fails_is_named_with_its_event(try_view: Callable[..., Tried]) -> None:
    """The batch is folded event by event, as the server does, until the one is found."""
    extra = HONEST["extra"] + '(data (i32.const 300) "nope")'
    code, report = try_view(extra=extra, append=REFUSES_THE_FIFTH + HONEST["append"])
    assert code == 1
    assert report["failure"] == {"event": 5, "reason": "the view refused the event: nope"}
    assert report["checks"] == []


def test_a_view_without_snapshots_is_told_so(try_view: Callable[..., Tried]) -> None:
    """It works, since it is replayed; what cannot be checked is skipped with a reason, in the open."""
    code, report = try_view(snapshot=f"{FINE} (i32.const 0)")
    assert code == 0
    skipped = {check["name"]: check["skipped"] for check in report["checks"] if "skipped" in check}
    assert skipped == {"restored": "the view gives no snapshot"}
    assert report["snapshot"] == {"none": "the view gives no snapshot"}


def test_what_the_server_refuses_is_refused(try_view: Callable[..., Tried]) -> None:
    """The same sentences: a question that the host refuses, an event that is no JSON, no component at all."""
    assert try_view("--query", "after=7").report["code"] == "ambiguous_after"
    code, problem = try_view(lines=LINES + b"\n{nope\n")
    assert (code, problem["code"], problem["line"]) == (1, "malformed_json", 32)
    code, problem = try_view(interface="other:view/view@1.0.0")
    assert code == 1
    assert "exports neither indelible:view/view@1.0.0" in problem["detail"]


def test_lines_are_read_as_batches_are_framed(tmp_path: Path) -> None:
    """Blank lines are skipped, one CR is dropped, and lines are counted through the whole file."""
    file = tmp_path / "events"
    lines = [b"{}\r\n", b"\n", b"  \n", b' {"a": 1} \n'] + [b"1\n"] * 12_000
    file.write_bytes(b"".join(lines))
    with file.open("rb") as opened:
        trail = read_trail(opened, 5, DEFAULT_LIMITS)
    assert trail.payloads[:3] == [b"{}", b' {"a": 1} ', b"1"]
    assert len(trail.payloads) == 12_002
    assert trail.batch(2, 3).times == [1_000_005, 2_000_005]
    file.write_bytes(b"".join(lines) + b"nope\n")
    with file.open("rb") as opened, pytest.raises(Problem) as refused:
        read_trail(opened, 0, DEFAULT_LIMITS)
    assert refused.value.facts["line"] == 12_005
