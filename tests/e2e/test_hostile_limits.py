"""Components that take too much: time, memory, stack, answers, parts; and what must not vary: NaN.

Each runs in a child process, which must answer with the stated refusal and then serve an honest view.
"""

import base64
from collections.abc import Iterator

import pytest
from tests.guests import attack as attacks
from tests.guests import build, wat
from tests.guests.attack import Make
from tests.guests.drive import Child, code_folder

SPOT = 400
MIB = 1 << 20


def grow(most_pages: int) -> str:
    """Take memory a mebibyte at a time until there is no more; trap if that was more than it should be."""
    return f"""(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      (if (i32.gt_u (memory.size) (i32.const {most_pages})) (then unreachable))"""


PAGES = 64 * 16
"""The limit of the tests, 64 MiB, in pages of WebAssembly."""

FILL = "(memory.fill (i32.const 0) (i32.const 7) (i32.const 1048576))"
RECURSION = "(func $deep (param i64) (result i64) (i64.add (call $deep (local.get 0)) (i64.const 1)))"
FRAMES = f"""(func $deep (param i64) (result i64) (local {"v128 " * 2000})
  (local.set 1 (v128.const i64x2 1 2))
  (i64.add (call $deep (local.get 0)) (i64x2.extract_lane 0 (local.get 1))))"""


def view(extra: str = "", **parts: str) -> Make:
    """Return a maker of the honest view with parts replaced."""
    return lambda: wat.component(wat.core(extra=extra, **parts))


def grafted(extra: str) -> Make:
    """Return a maker of the honest view with definitions added."""
    return lambda: wat.grafted(extra)


def modules(count: int, body: str) -> Make:
    """Return a maker of the honest view with `count` instances of one more core module."""
    instances = "\n".join("(core instance (instantiate $extra))" for _ in range(count))
    return grafted(f"(core module $extra {body})\n{instances}")


WALL = {
    "fold_fuel_per_batch": 1 << 50,
    "query_fuel": 1 << 50,
    "fold_batch_seconds": 0.3,
    "query_seconds": 0.3,
}
"""So much fuel that only the clock ends a loop."""

LOOPS = [
    attacks.Attack(
        "start never ends",
        view(f"(func $go {wat.FOREVER}) (start $go)"),
        attacks.TRIAL,
        "NotAView",
        "fuel",
    ),
    attacks.Attack("describe never ends", view(describe=wat.FOREVER), attacks.TRIAL, "NotAView", "fuel"),
    attacks.Attack("init never ends", view(init=wat.FOREVER), attacks.OPEN, "GuestTrap", kind="fuel"),
    attacks.Attack("append never ends", view(append=wat.FOREVER), attacks.APPEND, "GuestTrap", kind="fuel"),
    attacks.Attack("query never ends", view(query=wat.FOREVER), attacks.QUERY, "GuestTrap", kind="fuel"),
    attacks.Attack(
        "snapshot never ends", view(snapshot=wat.FOREVER), attacks.SNAPSHOT, "GuestTrap", kind="fuel"
    ),
    attacks.Attack("restore never ends", view(restore=wat.FOREVER), attacks.REOPEN, "GuestTrap", kind="fuel"),
    attacks.Attack("the clock ends append", view(append=wat.FOREVER), attacks.APPEND, "Aborted", limits=WALL),
    attacks.Attack("the clock ends query", view(query=wat.FOREVER), attacks.QUERY, "Aborted", limits=WALL),
    attacks.Attack(
        "the clock ends start",
        view(f"(func $go {wat.FOREVER}) (start $go)"),
        attacks.OPEN,
        "Aborted",
        limits=WALL,
    ),
    attacks.Attack(
        "an interruption ends append",
        view(append=wat.FOREVER),
        (["open"], ["interrupt", 0.2], ["append", 1, attacks.EVENTS]),
        "Aborted",
        limits={**WALL, "fold_batch_seconds": 60.0},
    ),
    attacks.Attack(
        "fills memory for ever, which costs fuel by the byte",
        view(append=f"(loop $again {FILL} (br $again)) unreachable"),
        attacks.APPEND,
        "GuestTrap",
        kind="fuel",
    ),
]

MEMORY = [
    attacks.Attack(
        "append takes all memory, and lives",
        view(append=f"{grow(PAGES)} i32.const 16"),
        attacks.ALL,
        attacks.FINE,
    ),
    attacks.Attack(
        "append takes all memory, and traps",
        view(append=f"{grow(PAGES)} unreachable"),
        attacks.APPEND,
        "GuestTrap",
        kind="unreachable",
    ),
    attacks.Attack(
        "start takes all memory", view(f"(func $go {grow(PAGES)}) (start $go)"), attacks.ALL, attacks.FINE
    ),
    attacks.Attack("a memory that begins over the limit", view(memory="2000"), attacks.TRIAL, "NotAView"),
    attacks.Attack(
        "ten memories that begin with 32 MiB each", modules(10, "(memory 512)"), attacks.TRIAL, "NotAView"
    ),
    attacks.Attack(
        "twelve memories that grow in their start functions",
        modules(12, f"(memory 1) (func $go {grow(PAGES // 2)}) (start $go)"),
        attacks.ALL,
        attacks.FINE,
    ),
    attacks.Attack("a thousand memories", modules(1000, "(memory 1)"), attacks.TRIAL, "NotAView"),
    attacks.Attack("a thousand instances of nothing", modules(1000, ""), attacks.TRIAL, "NotAView"),
    attacks.Attack("a thousand tables", modules(1000, "(table 1 funcref)"), attacks.TRIAL, "NotAView"),
    attacks.Attack(
        "a table of four thousand million",
        modules(1, "(table 0xffffffff funcref)"),
        attacks.TRIAL,
        "NotAView",
    ),
    attacks.Attack(
        "a table that grows for ever",
        modules(
            1,
            "(table $t 1 funcref) (func $go (loop $more (br_if $more (i32.ne (i32.const -1) "
            "(table.grow $t (ref.null func) (i32.const 10000)))))) (start $go)",
        ),
        attacks.ALL,
        attacks.FINE,
    ),
    attacks.Attack(
        "data beyond memory",
        modules(1, '(memory 1) (data (i32.const 65530) "0123456789")'),
        attacks.TRIAL,
        "NotAView",
    ),
]

STACK = [
    attacks.Attack(
        "append calls itself without end",
        view(f"{RECURSION}", append="(drop (call $deep (i64.const 1))) i32.const 16"),
        attacks.APPEND,
        "GuestTrap",
        kind="stack",
    ),
    attacks.Attack(
        "frames of 32 KB",
        view(FRAMES, query="(drop (call $deep (i64.const 1))) i32.const 80"),
        attacks.QUERY,
        "GuestTrap",
        kind="stack",
    ),
    attacks.Attack(
        "start calls itself without end",
        view(f"{RECURSION} (func $go (drop (call $deep (i64.const 1)))) (start $go)"),
        attacks.TRIAL,
        "NotAView",
        "stack",
    ),
]

BIG = 200 * 16  # pages: 200 MiB
ANSWERS = [
    attacks.Attack(
        "an answer of 100 MiB",
        view(wat.data(SPOT, 0, 320, 10, 1 << 17, 100 * MIB), memory=f"{BIG}", query=f"i32.const {SPOT}"),
        attacks.QUERY,
        "AnswerTooLarge",
        limits={"view_memory_bytes": 256 * MIB},
    ),
    attacks.Attack(
        "an answer over a small limit",
        view(wat.data(SPOT, 0, 320, 10, 1 << 17, 1001), query=f"i32.const {SPOT}"),
        attacks.QUERY,
        "AnswerTooLarge",
        limits={"answer_bytes": 1000},
    ),
    attacks.Attack(
        "an answer of exactly the limit",
        view(wat.data(SPOT, 0, 320, 10, 1 << 17, 1000), query=f"i32.const {SPOT}"),
        attacks.QUERY,
        attacks.FINE,
        limits={"answer_bytes": 1000},
    ),
    attacks.Attack(
        "a content type of 100 MiB",
        view(wat.data(SPOT, 0, 1 << 17, 100 * MIB, 336, 2), memory=f"{BIG}", query=f"i32.const {SPOT}"),
        attacks.QUERY,
        attacks.FINE,
        limits={"view_memory_bytes": 256 * MIB},
    ),
    attacks.Attack(
        "a description of 100 MiB",
        view(wat.data(SPOT, 1 << 17, 100 * MIB), memory=f"{BIG}", describe=f"i32.const {SPOT}"),
        attacks.TRIAL,
        "NotAView",
        limits={"view_memory_bytes": 256 * MIB},
    ),
    attacks.Attack(
        "a description that is no JSON",
        view(wat.data(SPOT, 336, 2), describe=f"i32.const {SPOT}"),
        attacks.TRIAL,
        "NotAView",
        "JSON",
    ),
    attacks.Attack(
        "a description that is a JSON array",
        view(f'{wat.data(SPOT, 500, 2)} (data (i32.const 500) "[]")', describe=f"i32.const {SPOT}"),
        attacks.TRIAL,
        "NotAView",
        "JSON",
    ),
    attacks.Attack(
        "a description that nests without end",
        view(
            f'{wat.data(SPOT, 500, 100000)} (data (i32.const 500) "{"[" * 100000}")',
            describe=f"i32.const {SPOT}",
        ),
        attacks.TRIAL,
        "NotAView",
        "JSON",
    ),
]

SNAPSHOTS = [
    attacks.Attack(
        "a part for ever",
        view(snapshot=f"i32.const {wat.PART}"),
        attacks.SNAPSHOT,
        "SnapshotUnsupported",
        limits={"snapshot_bytes": 8 * MIB},
    ),
    attacks.Attack(
        "empty parts for ever",
        view(wat.data(SPOT, 1, 336, 0), snapshot=f"i32.const {SPOT}"),
        attacks.SNAPSHOT,
        "SnapshotUnsupported",
        limits={"snapshot_bytes": 8 * MIB},
    ),
    attacks.Attack(
        "parts of 15 MiB for ever",
        view(wat.data(SPOT, 1, 1 << 17, 15 * MIB), memory="300", snapshot=f"i32.const {SPOT}"),
        attacks.SNAPSHOT,
        "SnapshotUnsupported",
        limits={"snapshot_bytes": 64 * MIB},
    ),
    attacks.Attack(
        "a part of 17 MiB",
        view(wat.data(SPOT, 1, 1 << 17, 17 * MIB), memory="300", snapshot=f"i32.const {SPOT}"),
        attacks.SNAPSHOT,
        "SnapshotUnsupported",
    ),
    attacks.Attack(
        "no part at all", view(snapshot=f"i32.const {wat.OK}"), attacks.SNAPSHOT, "SnapshotUnsupported"
    ),
    attacks.Attack(
        "snapshot traps", view(snapshot="unreachable"), attacks.SNAPSHOT, "GuestTrap", kind="unreachable"
    ),
    attacks.Attack(
        "restore traps", view(restore="unreachable"), attacks.REOPEN, "GuestTrap", kind="unreachable"
    ),
]

TRAPS = [
    attacks.Attack(
        "divides by zero",
        view(append="(i32.div_u (i32.const 1) (i32.const 0))"),
        attacks.APPEND,
        "GuestTrap",
        kind="arithmetic",
    ),
    attacks.Attack(
        "reads beyond memory",
        view(append="(i32.load (i32.const -8))"),
        attacks.APPEND,
        "GuestTrap",
        kind="memory",
    ),
    attacks.Attack(
        "calls through an empty table",
        view("(table 1 funcref)", append="(call_indirect (result i32) (i32.const 0))"),
        attacks.APPEND,
        "GuestTrap",
        kind="table",
    ),
    attacks.Attack("query traps", view(query="unreachable"), attacks.QUERY, "GuestTrap", kind="unreachable"),
]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the hostile components."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.mark.parametrize("attack", LOOPS, ids=lambda attack: attack.what)
def test_a_loop_ends(child: Child, attack: attacks.Attack) -> None:
    """Fuel is decided; the clock and an interruption only abort."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", MEMORY, ids=lambda attack: attack.what)
def test_memory_tables_and_instances_are_bounded(child: Child, attack: attacks.Attack) -> None:
    """No way of growing takes more than the limit, one memory or many."""
    outcomes = attacks.carry_out(child, attack)
    assert max((outcome.get("memory", 0) for outcome in outcomes), default=0) <= 64 * MIB


@pytest.mark.parametrize("attack", STACK, ids=lambda attack: attack.what)
def test_deep_recursion_is_a_trap(child: Child, attack: attacks.Attack) -> None:
    """The stack of the host is never overrun."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", ANSWERS, ids=lambda attack: attack.what)
def test_huge_answers_are_refused(child: Child, attack: attacks.Attack) -> None:
    """What a guest says is measured before it is copied."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", SNAPSHOTS, ids=lambda attack: attack.what)
def test_snapshots_are_bounded(child: Child, attack: attacks.Attack) -> None:
    """A snapshot ends, is within its limits, or is given up."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", TRAPS, ids=lambda attack: attack.what)
def test_a_trap_says_its_kind(child: Child, attack: attacks.Attack) -> None:
    """Each cause is told apart, and the instance is gone."""
    attacks.carry_out(child, attack)


HEX = """
(func $put (param $bits i64) (param $at i32) (local $n i32) (local $d i32)
  (loop $more
    (local.set $bits (i64.rotl (local.get $bits) (i64.const 4)))
    (local.set $d (i32.and (i32.wrap_i64 (local.get $bits)) (i32.const 15)))
    (i32.store8 (i32.add (local.get $at) (local.get $n))
      (i32.add (local.get $d) (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $d) (i32.const 9)))))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $n) (i32.const 16)))))
"""
NANS = (
    "(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const -0)))",
    "(i64.reinterpret_f64 (f64.sqrt (f64.const -1)))",
    "(i64.reinterpret_f64 (f64.add (f64.const nan:0x4000000000123) (f64.const 1)))",
    "(i64.reinterpret_f64 (f64.mul (f64.const -nan:0x8000000000456) (f64.const nan:0x8000000000789)))",
    "(i64.reinterpret_f64 (f64.promote_f32 (f32.add (f32.const nan:0x200001) (f32.const 1))))",
    "(i64x2.extract_lane 1 (f64x2.sqrt (f64x2.splat (f64.const nan:0x4000000000123))))",
)


def test_not_a_number_has_one_form(child: Child) -> None:
    """A view that shows the bits of a NaN shows the same on every machine: the canonical ones."""
    puts = " ".join(f"(call $put {nan} (i32.const {600 + 16 * n}))" for n, nan in enumerate(NANS))
    component = wat.component(
        wat.core(
            extra=f"{HEX} {wat.data(SPOT, 0, 320, 10, 600, 16 * len(NANS))}",
            query=f"{puts} i32.const {SPOT}",
        )
    )
    last = child.run(component, attacks.QUERY, limits=attacks.LIMITS)[-1]
    shown = base64.b64decode(last["body"]).decode()
    assert [shown[at : at + 16] for at in range(0, len(shown), 16)] == ["7ff8000000000000"] * len(NANS)
