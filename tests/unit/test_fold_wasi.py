"""A machine that looks at its clocks and random numbers, written as text, in the real host."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from wasmtime import wat2wasm

from indelible.fold.compile import Compiler
from indelible.fold.errors import AnswerTooLarge, GuestTrap, NotAView, SnapshotUnsupported
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Compiled, Question, World
from indelible.model.limits import MIB, Limits

SEEN = struct.Struct("<QIxxxxQQ")
"""What the machine writes down at each look: seconds, nanoseconds, monotonic time, 64 random bits."""

LOOK = """(func $look (param $at i32)
    (call $now (local.get $at))
    (i64.store offset=16 (local.get $at) (call $monotonic))
    (i64.store offset=24 (local.get $at) (call $random)))"""

TEXT = """(component
    (import "wasi:clocks/wall-clock@0.2.{version}" (instance $wall
        (type $datetime-0 (record (field "seconds" u64) (field "nanoseconds" u32)))
        (export "datetime" (type $datetime (eq $datetime-0)))
        (export "now" (func (result $datetime)))))
    (import "wasi:clocks/monotonic-clock@0.2.{version}" (instance $mono (export "now" (func (result u64)))))
    (import "wasi:random/random@0.2.{version}" (instance $rand
        (export "get-random-u64" (func (result u64)))
        (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
    {outer}
    (core module $lib
        (memory (export "memory") 64)
        (global $top (mut i32) (i32.const 4096))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (i32.const 4096)))
    (core instance $lib (instantiate $lib))
    (alias core export $lib "memory" (core memory $memory))
    (alias core export $lib "realloc" (core func $realloc))
    (core func $now (canon lower (func $wall "now") (memory $memory)))
    (core func $monotonic (canon lower (func $mono "now")))
    (core func $random (canon lower (func $rand "get-random-u64")))
    (core func $bytes
        (canon lower (func $rand "get-random-bytes") (memory $memory) (realloc $realloc)))
    (core module $m
        (import "lib" "memory" (memory 64))
        (import "host" "now" (func $now (param i32)))
        (import "host" "monotonic" (func $monotonic (result i64)))
        (import "host" "random" (func $random (result i64)))
        (import "host" "bytes" (func $bytes (param i64 i32)))
        {look}
        (func $give (param $size i32) (result i32)
            (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (local.get $size))
            (i32.const 0))
        (func (export "init"))
        (func (export "append") (param i32 i32) {append} (call $look (i32.const 64)))
        (func (export "query") (param i32 i32) (result i32)
            (call $look (i32.const 96)) (call $give (i32.const {answer})))
        (func (export "snapshot") (result i32) (call $give (i32.const {state})))
        (func (export "restore") (param i32 i32)
            (memory.copy (i32.const 64) (local.get 0) (local.get 1))))
    (core instance $host (export "now" (func $now)) (export "monotonic" (func $monotonic))
        (export "random" (func $random)) (export "bytes" (func $bytes)))
    (core instance $i (instantiate $m (with "lib" (instance $lib)) (with "host" (instance $host))))
    (func $init (canon lift (core func $i "init")))
    (func $append (param "event" (list u8))
        (canon lift (core func $i "append") (memory $memory) (realloc $realloc)))
    (func $query (param "input" (list u8)) (result (list u8))
        (canon lift (core func $i "query") (memory $memory) (realloc $realloc)))
    (func $snapshot (result (list u8)) (canon lift (core func $i "snapshot") (memory $memory)))
    (func $restore (param "snapshot" (list u8))
        (canon lift (core func $i "restore") (memory $memory) (realloc $realloc)))
    (instance $machine (export "init" (func $init)) (export "append" (func $append))
        (export "query" (func $query)) (export "snapshot" (func $snapshot))
        (export "restore" (func $restore)))
    (export "primatomic:machine/machine@0.0.1" (instance $machine)))"""


class Look(NamedTuple):
    """One look at clocks and random numbers."""

    seconds: int
    nanoseconds: int
    monotonic: int
    random: int


class Bench(NamedTuple):
    """A compiler and a host on one folder."""

    compiler: Compiler
    host: Host

    def compile(
        self, version: int = 3, outer: str = "", append: str = "", answer: int = 64, state: int = 32
    ) -> Compiled:
        """Compile the machine with something changed."""
        text = TEXT.format(version=version, outer=outer, append=append, answer=answer, state=state, look=LOOK)
        return self.compiler.compile(bytes(wat2wasm(text)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for the module."""
    folder = tmp_path_factory.mktemp("code")
    with Host(folder, Limits()) as host:
        yield Bench(Compiler(folder, Limits()), host)


def looks(fold: Fold) -> list[Look]:
    """What the machine saw at the last event, and what it sees now."""
    body = fold.query(Question((), "", ())).body
    return [Look(*SEEN.unpack_from(body, at)) for at in (0, 32)]


MICROS = 1_758_000_000_123_456


def events(first: int, count: int) -> Batch:
    """Events a second apart."""
    times = [MICROS + (first - 1 + place) * 1_000_000 for place in range(count)]
    return Batch(first, times, [b"x"] * count, ("w",))


@pytest.mark.parametrize("version", [0, 3, 9])
def test_clocks_show_the_event_under_any_version_of_wasi(bench: Bench, version: int) -> None:
    """Both clocks show the time of receipt of the event, in a question that of the last one."""
    compiled = bench.compile(version)
    assert compiled.world is World.MACHINE
    with bench.host.open(compiled, "", ()) as fold:
        fold.append(events(1, 3))
        for look in looks(fold):
            assert (look.seconds, look.nanoseconds) == (1_758_000_002, 123_456_000)
            assert look.monotonic == (MICROS + 2_000_000) * 1_000


def test_before_the_first_event_clocks_stand_at_the_epoch(bench: Bench) -> None:
    """Nothing of the computer's own time shows."""
    with bench.host.open(bench.compile(), "", ()) as fold:
        assert looks(fold)[1][:3] == (0, 0, 0)


def test_random_numbers_and_clocks_survive_restores_batches_and_questions(bench: Bench) -> None:
    """However a machine came to a place in the log, it sees there what every other run sees."""
    compiled = bench.compile()
    with bench.host.open(compiled, "", ()) as straight, bench.host.open(compiled, "", ()) as other:
        straight.append(events(1, 5))
        other.append(events(1, 2))
        looks(other)
        other.append(events(3, 2))
        parts = list(other.snapshot())
        before = looks(other)
        with bench.host.reopen(compiled, "", (), parts) as restored:
            assert looks(restored) == before
            restored.append(events(5, 1))
            assert looks(restored) == looks(straight)
    assert looks_differ(before)


def looks_differ(pair: list[Look]) -> bool:
    """Whether the numbers drawn while folding and while answering differ, as they should."""
    return pair[0].random != pair[1].random


def test_random_bytes_have_a_bound(bench: Bench) -> None:
    """A guest that asks for a tebibyte of random bytes ends; one that asks for little goes on."""
    ask = "(call $bytes (i64.const {count}) (i32.const 0))"
    with bench.host.open(bench.compile(append=ask.format(count=100)), "", ()) as fold:
        fold.append(events(1, 1))
    with bench.host.open(bench.compile(append=ask.format(count=1 << 40)), "", ()) as fold:
        with pytest.raises(GuestTrap, match="random bytes"):
            fold.append(events(1, 1))
        assert not fold.usable


def test_lists_too_large_to_lift_are_told_apart(bench: Bench) -> None:
    """Past what the library lifts, an answer is too large, and a state is replayed instead."""
    with bench.host.open(bench.compile(answer=2 * MIB), "", ()) as fold:
        assert len(fold.query(Question((), "", ())).body) == 2 * MIB
    with bench.host.open(bench.compile(answer=3_900_000, state=3_900_000), "", ()) as fold:
        with pytest.raises(AnswerTooLarge):
            fold.query(Question((), "", ()))
        assert not fold.usable
    with bench.host.open(bench.compile(state=3_900_000), "", ()) as fold:
        with pytest.raises(SnapshotUnsupported):
            list(fold.snapshot())
        assert not fold.usable


def test_what_wasi_lacks_is_refused_on_trial(bench: Bench) -> None:
    """An interface under a right name that no WASI has is named when the machine is tried."""
    outer = '(import "wasi:random/dice@0.2.3" (instance (export "roll" (func (result u64)))))'
    with pytest.raises(NotAView, match="dice"):
        bench.host.trial(bench.compile(outer=outer), "", ())
