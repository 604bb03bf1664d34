"""Small components written as text, each with one thing wrong, run in the real host.

The text is a whole `indelible:view` component; a case replaces the body of one function, the memory, or what
stands around the module. The guests do nothing useful: the ones that do are in tests/guests.
"""

import gc
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.wat import DEEP, LIMITS, LOOP, NO_QUESTION, RECURSION, REFUSES, Bench, batch, wasm

from indelible.fold.compile import Compiler
from indelible.fold.errors import (
    Aborted,
    AnswerTooLarge,
    GuestTrap,
    QueryRefused,
)
from indelible.fold.host import Host
from indelible.fold.types import Question, World
from indelible.model.limits import MIB


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for the module: compiling the same text twice costs nothing."""
    bench = Bench(tmp_path_factory.mktemp("code"))
    with bench.host:
        yield bench


def test_a_plain_view_opens_folds_and_answers(bench: Bench) -> None:
    """The text that the other cases break is itself a view that works."""
    compiled = bench.compiler.compile(wasm())
    assert compiled.world is World.VIEW
    assert bench.host.trial(compiled, "", ()) == "{}"
    with bench.open() as fold:
        fold.append(batch(b"{}", b"", b"\xff", "ä".encode()))
        assert fold.query(NO_QUESTION) == ("application/json", b"{}")
        assert fold.usable


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        pytest.param({"append": "unreachable"}, "unreachable", id="trap"),
        pytest.param({"append": LOOP}, "fuel", id="loop"),
        pytest.param({"append": DEEP, "extra": RECURSION}, "stack", id="recursion"),
        pytest.param({"append": "(i32.load (i32.const -4))"}, "memory", id="wild-load"),
        pytest.param(
            {"append": "(i32.div_u (i32.const 1) (i32.const 0))"},
            "arithmetic",
            id="division",
        ),
        pytest.param({"append": "(i32.const -4)"}, "abi", id="result-outside-memory"),
        pytest.param({"append": "(i32.const 3)"}, "abi", id="result-unaligned"),
        pytest.param(
            {"append": "(i32.store (i32.const 0) (i32.const 7)) (i32.const 0)"}, "abi", id="no-such-case"
        ),
        pytest.param({"realloc": "(i32.const -8)"}, "abi", id="realloc-outside-memory"),
        pytest.param({"realloc": "(i32.const 4097)"}, "abi", id="realloc-unaligned"),
        pytest.param(
            {
                "append": "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 280)) "
                "(i32.store (i32.const 8) (i32.const 2)) (i32.const 0)"
            },
            "abi",
            id="error-text-not-utf8",
        ),
    ],
)
def test_a_guest_that_breaks_in_append_traps_decided(bench: Bench, parts: dict[str, str], kind: str) -> None:
    """Whatever a guest does wrong, append ends with GuestTrap of the right kind and the instance is gone."""
    compiled = bench.compiler.compile(wasm(**parts))
    with pytest.raises(GuestTrap) as caught, bench.host.open(compiled, "", ()) as fold:
        fold.append(batch(b"{}"))
    assert caught.value.kind == kind, caught.value


def test_names_in_a_backtrace_do_not_reach_the_text(bench: Bench) -> None:
    """A guest whose functions have endless names still traps with the engine's sentence alone."""
    name = "wasm trap: lies " * 2_000
    extra = f'(func $deep (@name "{name}") unreachable)'
    with bench.open(append="(call $deep) (i32.const 0)", extra=extra) as fold:
        with pytest.raises(GuestTrap) as caught:
            fold.append(batch(b"{}"))
        assert caught.value.kind == "unreachable"
        assert caught.value.text == "wasm `unreachable` instruction executed"


def test_after_a_trap_the_instance_is_gone(bench: Bench) -> None:
    """A fold that trapped says so, has no memory, and refuses calls as something to repeat elsewhere."""
    fold = bench.open(append="unreachable")
    assert fold.usable
    assert fold.memory_bytes >= MIB
    with pytest.raises(GuestTrap):
        fold.append(batch(b"{}"))
    assert not fold.usable
    assert fold.memory_bytes == 0
    with pytest.raises(Aborted):
        fold.query(NO_QUESTION)


@pytest.mark.parametrize(("case", "kind"), [("0", "invalid"), ("1", "failed")])
def test_a_refusal_is_capped_cleaned_and_harmless(bench: Bench, case: str, kind: str) -> None:
    """A refused question carries a short text without controls, and the instance goes on answering."""
    text = REFUSES.format(case=case, size=100_000)
    with bench.open(query=text, extra='(data (i32.const 300) "a\\1b[31m\\0ab")') as fold:
        for _ in range(2):
            with pytest.raises(QueryRefused) as caught:
                fold.query(NO_QUESTION)
            assert caught.value.kind == kind
            assert caught.value.text == "a [31m b"
        assert fold.usable


ANSWERS = """(local $at i32) (local.set $at (i32.const 65536))
    (drop (memory.grow (i32.const {pages})))
    (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 264))
    (i32.store (i32.const 8) (i32.const 16)) (i32.store (i32.const 12) (i32.const 65536))
    (i32.store (i32.const 16) (i32.const {size})) (i32.const 0)"""


def test_an_answer_at_the_limit_is_given_and_one_over_it_is_not(bench: Bench) -> None:
    """The limit is exact; past it comes AnswerTooLarge with the size, and the instance is gone."""
    with bench.open(query=ANSWERS.format(pages=0, size=15 << 16), memory=MEMORY_OF_32) as fold:
        assert len(fold.query(NO_QUESTION).body) == 15 << 16
    with bench.open(query=ANSWERS.format(pages=0, size=1 << 20), memory=MEMORY_OF_32) as fold:
        assert len(fold.query(NO_QUESTION).body) == LIMITS.answer_bytes
    with bench.open(query=ANSWERS.format(pages=0, size=(1 << 20) + 1), memory=MEMORY_OF_32) as fold:
        with pytest.raises(AnswerTooLarge) as caught:
            fold.query(NO_QUESTION)
        assert caught.value.size == LIMITS.answer_bytes + 1
        assert not fold.usable


MEMORY_OF_32 = '(memory (export "memory") 32)'


def test_answers_leave_no_memory_behind(bench: Bench) -> None:
    """Two hundred answers of a mebibyte are freed, one after another, by the host."""
    with bench.open(query=ANSWERS.format(pages=0, size=1 << 20), memory=MEMORY_OF_32) as fold:
        fold.query(NO_QUESTION)
        before = resident_bytes()
        for _ in range(200):
            fold.query(NO_QUESTION)
        assert resident_bytes() - before < 32 * MIB


def resident_bytes() -> int:
    """The process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_an_answer_larger_than_can_be_lifted_is_too_large(bench: Bench) -> None:
    """The library lifts at most 128 MiB; an answer of 200 MiB is refused as too large, not as a trap."""
    with bench.open(query=ANSWERS.format(pages=3_300, size=200 << 20)) as fold:
        with pytest.raises(AnswerTooLarge):
            fold.query(NO_QUESTION)
        assert not fold.usable


@pytest.mark.parametrize("content", ["text/html\\0d\\0aX: y", "nonsense", ""])
def test_a_content_type_that_is_none_becomes_octets(bench: Bench, content: str) -> None:
    """What a guest calls its answer can never add a header."""
    size = len(content.replace("\\\\0d", "r").replace("\\0d", "r").replace("\\0a", "n"))
    query = f"""(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 300))
        (i32.store (i32.const 8) (i32.const {size})) (i32.store (i32.const 12) (i32.const 256))
        (i32.store (i32.const 16) (i32.const 2)) (i32.const 0)"""
    with bench.open(query=query, extra=f'(data (i32.const 300) "{content}")') as fold:
        assert fold.query(NO_QUESTION).content_type == "application/octet-stream"


def test_a_body_that_is_not_utf8_is_refused_before_the_guest(bench: Bench) -> None:
    """The C library would end the process on bad UTF-8; the question is refused and the instance lives."""
    with bench.open() as fold:
        with pytest.raises(QueryRefused, match="UTF-8"):
            fold.query(Question((), b"\xff", ()))
        with pytest.raises(QueryRefused, match="UTF-8"):
            fold.query(Question((), "\ud800", ()))
        with pytest.raises(QueryRefused, match="UTF-8"):
            fold.query(Question((("a", "\ud800"),), "", ()))
        assert fold.query(Question((("a", "b\0c"), ("a", "")), "\0", ())).body == b"{}"


def test_wall_time_aborts_and_does_not_decide(tmp_path: Path) -> None:
    """With fuel to spare, a loop ends by the clock: Aborted, which is repeated, not GuestTrap."""
    limits = replace(LIMITS, fold_fuel_per_batch=1 << 62, query_fuel=1 << 62, query_seconds=0.2)
    with Host(tmp_path, limits) as host:
        fold = host.open(Compiler(tmp_path, limits).compile(wasm(query=LOOP)), "", ())
        with pytest.raises(Aborted, match="too long"):
            fold.query(NO_QUESTION)
        assert not fold.usable


def test_interrupt_stops_one_fold_and_no_other(tmp_path: Path) -> None:
    """Another thread stops a loop at once, while a second loop on the engine goes on to its own limit."""
    limits = replace(LIMITS, query_fuel=1 << 62, query_seconds=1.5)
    with Host(tmp_path, limits) as host:
        compiled = Compiler(tmp_path, limits).compile(wasm(query=LOOP))
        folds = [host.open(compiled, "", ()) for _ in range(2)]
        reasons = ["", ""]

        def ask(which: int) -> None:
            try:
                folds[which].query(NO_QUESTION)
            except Aborted as aborted:
                reasons[which] = aborted.reason

        threads = [threading.Thread(target=ask, args=(which,)) for which in range(2)]
        for thread in threads:
            thread.start()
        while threads[0].is_alive():
            folds[0].interrupt("cancelled")
            threads[0].join(0.01)
        threads[1].join()
        assert reasons == ["cancelled", "the call took too long"]


def test_close_waits_for_the_call_that_it_stops(tmp_path: Path) -> None:
    """A store is never freed under its running guest: close from another thread ends the call first."""
    limits = replace(LIMITS, query_fuel=1 << 62, query_seconds=60.0)
    with Host(tmp_path, limits) as host:
        fold = host.open(Compiler(tmp_path, limits).compile(wasm(query=LOOP)), "", ())
        reasons: list[str] = []

        def ask() -> None:
            try:
                fold.query(NO_QUESTION)
            except Aborted as aborted:
                reasons.append(aborted.reason)

        thread = threading.Thread(target=ask)
        thread.start()
        while not reasons:
            fold.close()
            thread.join(0.01)
        assert not fold.usable
        assert reasons[0] in ("closed", "the instance is gone; open a new one")


def test_a_host_that_is_dropped_takes_its_thread_along(tmp_path: Path) -> None:
    """Without close, the clock's thread ends with the host; it never ticks an engine that was freed."""
    before = set(threading.enumerate())
    host = Host(tmp_path, LIMITS)
    host.open(Compiler(tmp_path, LIMITS).compile(wasm()), "", ()).close()
    (ticker,) = set(threading.enumerate()) - before
    del host
    gc.collect()
    ticker.join(10)
    assert not ticker.is_alive()


def test_interrupt_when_nothing_runs_does_nothing(bench: Bench) -> None:
    """A cancellation that comes late does not hit the next question."""
    with bench.open() as fold:
        fold.interrupt()
        assert fold.query(NO_QUESTION).body == b"{}"
