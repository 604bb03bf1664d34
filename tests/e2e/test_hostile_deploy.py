"""Components that must not be deployed: features that are off, imports, damaged bytes, sizes, nesting.

Each runs in a child process, which must answer with the stated refusal and then serve an honest view.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guests import attack as attacks
from tests.guests import build, wat
from tests.guests.attack import Make
from tests.guests.drive import Child, code_folder


def refused(what: str, make: Make, says: str = "", **limits: object) -> attacks.Attack:
    """Return an attack that deploying must end."""
    return attacks.Attack(what, make, attacks.TRIAL, "NotAView", says, limits=limits)


def grafted(extra: str) -> Make:
    """Return a maker of the honest view with definitions added."""
    return lambda: wat.grafted(extra)


def in_module(body: str) -> Make:
    """Return a maker of the honest view with one more core module, which nothing instantiates."""
    return grafted(f"(core module {body})")


FEATURES = [
    refused("memory64", in_module("(memory i64 1)"), "64-bit"),
    refused("a shared memory", in_module("(memory 1 2 shared)"), "shared"),
    refused(
        "atomics", in_module("(memory 1 2 shared) (func (drop (i32.atomic.load (i32.const 0))))"), "shared"
    ),
    refused(
        "atomics on an own memory", in_module("(memory 1) (func (drop (i32.atomic.load (i32.const 0))))")
    ),
    refused("several memories", in_module("(memory 1) (memory 1)"), "several"),
    refused(
        "several memories, imported",
        in_module('(import "a" "m" (memory 1)) (import "a" "n" (memory 1)) (func (drop (memory.size 1)))'),
    ),
    refused("an imported memory64", in_module('(import "a" "m" (memory i64 1))')),
    refused("an imported shared memory", in_module('(import "a" "m" (memory 1 2 shared))')),
    refused("pages of one byte", in_module("(memory 1 (pagesize 1))"), "page size"),
    refused(
        "relaxed SIMD",
        in_module("(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))"),
    ),
    refused(
        "garbage collection", in_module("(type (struct (field i32))) (func (drop (struct.new_default 0)))")
    ),
    refused(
        "an array type", in_module("(type (array i8)) (func (drop (array.new_default 0 (i32.const 9))))")
    ),
    refused(
        "function references",
        in_module("(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"),
    ),
    refused("exceptions", in_module("(tag $t) (func (throw $t))")),
    refused(
        "stack switching",
        in_module(
            "(type $f (func)) (type $c (cont $f)) (func (param (ref $f)) (drop (cont.new $c (local.get 0))))"
        ),
    ),
    refused(
        "wide arithmetic", in_module("(func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2)))")
    ),
    refused("a 64-bit table", in_module("(table i64 1 funcref)")),
    refused("an async function type", grafted("(type (func async (result string)))")),
    refused("a stream type", grafted("(type (stream u8))")),
    refused("a future type", grafted("(type (future u8))")),
    refused("an error context", grafted("(type error-context)")),
    refused("a task's return", grafted("(core func (canon task.return (result u32)))")),
    refused(
        "a thread's spawning",
        grafted("(core type $f (func (param i32))) (core func (canon thread.spawn-ref $f))"),
    ),
    refused("backpressure", grafted("(core func (canon backpressure.inc))")),
]

WASI = (
    "wasi:filesystem/types@0.2.0",
    "wasi:filesystem/preopens@0.2.9",
    "wasi:sockets/tcp@0.2.0",
    "wasi:sockets/ip-name-lookup@0.2.3",
    "wasi:http/outgoing-handler@0.2.0",
    "wasi:cli/environment@0.2.0",
    "wasi:cli/exit@0.2.0",
    "wasi:clocks/wall-clock@0.2.9",
    "wasi:random/random@0.2.9",
    "wasi:io/streams@0.2.9",
    "wasi:keyvalue/store@0.2.0-draft",
    "evil:corp/backdoor@6.6.6",
    "indelible:view/view@1.0.0",
)

MACHINE = """(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "none"))
    (func (export "take") (param i32 i32))
    (func (export "give") (result i32) (i32.const 16))
    (func (export "ask") (param i32 i32) (result i32) (i32.const 16))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (type $bytes (list u8))
  (func $init (canon lift (core func $i "none")))
  (func $take_event (param "event" $bytes)
    (canon lift (core func $i "take") (memory $memory) (realloc (core func $realloc))))
  (func $query (param "input" $bytes) (result $bytes)
    (canon lift (core func $i "ask") (memory $memory) (realloc (core func $realloc))))
  (func $snapshot (result $bytes) (canon lift (core func $i "give") (memory $memory)))
  (func $take_snapshot (param "snapshot" $bytes)
    (canon lift (core func $i "take") (memory $memory) (realloc (core func $realloc))))
  (instance $machine
    (export "init" (func $init))
    (export "append" (func $take_event))
    (export "query" (func $query))
    (export "snapshot" (func $snapshot))
    (export "restore" (func $take_snapshot)))
  (export "primatomic:machine/machine@0.0.1" (instance $machine))
  {extra}
)"""


def machine(extra: str = "") -> Make:
    """Return a maker of an honest machine with definitions added."""
    return lambda: wat.parsed(MACHINE.replace("{extra}", extra))


def imported(name: str) -> str:
    """Return the import of an instance with nothing in it."""
    return f'(import "{name}" (instance))'


IMPORTS = [
    *(refused(f"a view that imports {name}", grafted(imported(name)), name) for name in WASI),
    refused("a view that imports a function", grafted('(import "now" (func (result u64)))'), "now"),
    refused("a view that imports a core module", grafted('(import "code" (core module))'), "code"),
    refused(
        "a view that imports a component",
        grafted('(import "other" (component))'),
        "component imports",
    ),
    refused(
        "a view that imports everything",
        grafted("\n".join(imported(name) for name in WASI)),
        "wasi:filesystem",
    ),
    refused(
        "a machine that imports http", machine(imported("wasi:http/outgoing-handler@0.2.0")), "wasi:http"
    ),
    refused(
        "a machine that imports key values", machine(imported("wasi:keyvalue/store@0.2.0")), "wasi:keyvalue"
    ),
    refused("a machine that imports WASI 0.3", machine(imported("wasi:cli/environment@0.3.0")), "wasi:cli"),
    refused("a machine that imports the unknown", machine(imported("evil:corp/backdoor@6.6.6")), "evil:corp"),
    refused("a machine that imports a function", machine('(import "now" (func (result u64)))'), "now"),
    attacks.Attack(
        "an honest machine",
        machine(),
        (["trial"], ["open"], ["append", 1, attacks.EVENTS], ["query"]),
        attacks.FINE,
    ),
]


def honest() -> bytes:
    """Return the honest view's bytes."""
    content: bytes = wat.component(wat.core()).read_bytes()
    return content


def written(content: bytes) -> Make:
    """Return a maker of a file of these bytes."""
    return lambda: wat.written(content)


def core_module() -> Path:
    """Return a core module that has all the right names."""
    out = wat.written(b"").with_name("core-module.wasm")
    source = out.with_suffix(".wat")
    source.write_text(wat.core())
    build.wasm_tools("parse", source, "-o", out)
    return out


def leb(number: int) -> bytes:
    """Return an unsigned number as LEB128."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def section(kind: int, content: bytes) -> bytes:
    """Return a section of a binary."""
    return bytes([kind]) + leb(len(content)) + content


COMPONENT = b"\0asm\x0d\x00\x01\x00"
CORE = b"\0asm\x01\x00\x00\x00"


def raw_nesting(depth: int) -> bytes:
    """Return components inside components, by their bytes alone; a scanner that recurses would overrun."""
    content = COMPONENT
    for _ in range(depth):
        content = COMPONENT + section(4, content)
    return content


RANDOM = random.Random(20240229)  # noqa: S311 - the same bytes in every run

BYTES = [
    refused("nothing", written(b"")),
    refused("four bytes", written(b"\0asm")),
    refused("the header alone", written(COMPONENT), "no code"),
    refused("a page of HTML", written(b"<!doctype html><title>404</title>"), "not a WebAssembly component"),
    refused("random bytes", written(RANDOM.randbytes(100_000)), "not a WebAssembly component"),
    refused("a header, then random bytes", written(COMPONENT + RANDOM.randbytes(100_000))),
    refused("a header, then zeros", written(COMPONENT + bytes(100_000))),
    refused("a core module", core_module, "component new"),
    refused(
        "an unknown version", written(b"\0asm\x0e\x00\x01\x00" + bytes(64)), "not a WebAssembly component"
    ),
    refused("a section longer than the file", written(COMPONENT + b"\x01\xff\xff\xff\xff\x0f"), "cut short"),
    refused("a size without an end", written(COMPONENT + b"\x01" + b"\xff" * 64), "no number"),
    refused("a million empty sections", written(COMPONENT + b"\x00\x01\x00" * 1_000_000), "sections"),
    refused(
        "a custom section of 33 MiB", written(COMPONENT + section(0, b"\x00" + bytes(33 << 20))), "32 MiB"
    ),
    refused(
        "components nested a hundred deep beside an honest view",
        lambda: wat.written(honest() + section(4, raw_nesting(100))),
        "nested",
    ),
    refused("components nested ten thousand deep", written(raw_nesting(10_000)), "nested"),
    refused(
        "a count of functions that is not there",
        written(COMPONENT + section(1, CORE + section(10, leb(0xFFFF_FFFF)))),
        "functions",
    ),
    refused(
        "100,001 functions",
        written(COMPONENT + section(1, CORE + section(10, leb(100_001) + b"\x02\x00\x0b" * 100_001))),
        "functions",
    ),
]


def huge_body(text: str, times: int) -> Make:
    """Return a maker of the honest view with a function that repeats `text`."""
    return in_module(f"(func {text * times})")


def tuples(depth: int) -> str:
    """Return types that unfold to 2^depth parts."""
    lines = ["(type $t0 u8)"]
    lines += [f"(type $t{n} (tuple $t{n - 1} $t{n - 1}))" for n in range(1, depth + 1)]
    return "\n".join(lines)


SIZES = [
    refused("a function of 700 KiB", huge_body("(drop (i32.const 1234567))", 120_000), "function"),
    refused("types that unfold to 2^40 parts", grafted(tuples(40))),
    attacks.Attack(
        "a function of 100,000 nested blocks",
        in_module(f"(func {'block ' * 100_000} {'end ' * 100_000})"),
        attacks.TRIAL,
        attacks.FINE,
    ),
    attacks.Attack(
        "50,000 locals in each of 200 functions",
        in_module(f"(func (local {'i64 ' * 50_000}))" * 200),
        attacks.TRIAL,
        attacks.FINE,
    ),
    attacks.Attack(
        "a jump table of 40,000 entries in each of 10 functions",
        in_module(f"(func (param i32) (block $b (br_table {'$b ' * 40_000} (local.get 0))))" * 10),
        attacks.TRIAL,
        attacks.FINE,
    ),
    attacks.Attack(
        "a name that is 90 KB long",
        grafted(f'(import "a{"b" * 90_000}" (instance))'),
        attacks.TRIAL,
        "NotAView",
    ),
]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the hostile components."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.mark.parametrize("attack", FEATURES, ids=lambda attack: attack.what)
def test_features_that_are_off_are_refused(child: Child, attack: attacks.Attack) -> None:
    """What is not deterministic or has no bound cannot be deployed, even where nothing uses it."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", IMPORTS, ids=lambda attack: attack.what)
def test_imports_are_refused_by_name(child: Child, attack: attacks.Attack) -> None:
    """A view imports nothing; a machine WASI 0.2 at most; the refusal says which import it was."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", BYTES, ids=lambda attack: attack.what)
def test_bytes_that_are_no_component_are_refused(child: Child, attack: attacks.Attack) -> None:
    """Damaged, foreign and bloated bytes get a sentence, quickly."""
    last = attacks.carry_out(child, attack)[-1]
    assert len(last["reason"]) <= 2_000


@pytest.mark.parametrize("attack", SIZES, ids=lambda attack: attack.what)
def test_compiling_is_bounded(child: Child, attack: attacks.Attack) -> None:
    """What would cost the compiler too much is refused, and the host lives."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("share", range(1, 20))
def test_a_component_cut_anywhere_is_refused(child: Child, share: int) -> None:
    """Twenty places to cut an honest view."""
    whole = honest()
    attacks.carry_out(child, refused(f"cut at {share}/20", written(whole[: len(whole) * share // 20])))


def test_a_flipped_bit_is_refused_or_harmless(child: Child) -> None:
    """With one bit flipped, an honest view is refused with a sentence, traps, or runs; the host survives."""
    whole, chance = honest(), random.Random(2)  # noqa: S311 - the same bits in every run
    allowed = {"NotAView", "GuestTrap", "GuestError", "SnapshotUnsupported", attacks.FINE}
    for _ in range(30):
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        outcomes = attacks.life(child, wat.written(bytes(damaged)))
        assert outcomes[-1].get("error", attacks.FINE) in allowed, (at, bit, outcomes[-1])
