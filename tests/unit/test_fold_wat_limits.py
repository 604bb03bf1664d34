"""Small components written as text: memory, what a deployment refuses, snapshots, and the cache of code."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.wat import (
    ANSWERS_OK,
    DEEP,
    LIMITS,
    LOOP,
    NO_QUESTION,
    RECURSION,
    REFUSES,
    Bench,
    batch,
    view_text,
    wasm,
)
from wasmtime import wat2wasm

from indelible.fold.compile import Compiler
from indelible.fold.errors import (
    CodeLost,
    GuestError,
    GuestTrap,
    NotAView,
    SnapshotUnsupported,
)
from indelible.fold.host import Host
from indelible.model.limits import KIB, MIB


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for the module: compiling the same text twice costs nothing."""
    bench = Bench(tmp_path_factory.mktemp("code"))
    with bench.host:
        yield bench


GROWS = "(local $n i32) (loop $l (br_if $l (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) "


def test_memory_stops_growing_at_the_limit_and_is_measured(bench: Bench) -> None:
    """Growth past the limit is refused to the guest, and memory_bytes is what it really got."""
    with bench.open(append=GROWS + ANSWERS_OK) as fold:
        assert fold.memory_bytes == 16 * 64 * KIB
        fold.append(batch(b"{}"))
        assert fold.memory_bytes == LIMITS.view_memory_bytes


def test_many_memories_share_the_limit(bench: Bench) -> None:
    """Four modules that grow to the brim get together no more than one would."""
    others = "".join(
        f'(core module $m{n} (memory 1) (func (export "grow") {GROWS}) (start $s) (func $s {GROWS}))'
        f"(core instance $i{n} (instantiate $m{n}))"
        for n in range(3)
    )
    with bench.open(outer=others, append=GROWS + ANSWERS_OK) as fold:
        fold.append(batch(b"{}"))
        assert LIMITS.view_memory_bytes // 2 < fold.memory_bytes <= LIMITS.view_memory_bytes


def test_too_many_memories_are_refused(bench: Bench) -> None:
    """More memories than a view may have are a limit that the trial names."""
    others = "".join(
        f"(core module $m{n} (memory 1)) (core instance $i{n} (instantiate $m{n}))" for n in range(40)
    )
    compiled = bench.compiler.compile(wasm(outer=others))
    with pytest.raises(NotAView, match="memor"):
        bench.host.trial(compiled, "", ())


@pytest.mark.parametrize("size", [64 * KIB, 4 * MIB])
def test_the_stack_of_a_view_is_as_large_as_it_is_set(tmp_path: Path, size: int) -> None:
    """Recursion ends as a trap at the smallest and at the largest stack that can be set."""
    limits = replace(LIMITS, view_stack_bytes=size, fold_fuel_per_batch=1 << 40)
    with Host(tmp_path, limits) as host:
        compiled = Compiler(tmp_path, limits).compile(wasm(append=DEEP, extra=RECURSION))
        with host.open(compiled, "", ()) as fold, pytest.raises(GuestTrap) as caught:
            fold.append(batch(b"{}"))
        assert caught.value.kind == "stack"
    with pytest.raises(ValueError, match="view_stack_bytes"):
        Host(tmp_path, replace(LIMITS, view_stack_bytes=4 * MIB + 1))


def test_a_start_function_is_bounded(bench: Bench) -> None:
    """Code that runs while the instance is made has the fuel of a batch."""
    compiled = bench.compiler.compile(wasm(extra="(start $s) (func $s (loop $l (br $l)))"))
    with pytest.raises(GuestTrap) as caught:
        bench.host.open(compiled, "", ())
    assert caught.value.kind == "fuel"


TEXT = "(i32.store (i32.const 0) (i32.const {at})) (i32.store (i32.const 4) (i32.const {size})) (i32.const 0)"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        pytest.param({"describe": TEXT.format(at=256, size=1)}, "JSON object", id="not-json"),
        pytest.param({"describe": TEXT.format(at=512, size=600_000)}, "describe gave", id="too-long"),
        pytest.param({"describe": "unreachable"}, "unreachable", id="describe-traps"),
        pytest.param({"describe": LOOP}, "fuel", id="describe-loops"),
        pytest.param(
            {"init": REFUSES.format(case=300, size=0)}, "refuses its configuration", id="init-error"
        ),
        pytest.param({"init": "unreachable"}, "unreachable", id="init-traps"),
    ],
)
def test_a_trial_refuses_with_a_reason(bench: Bench, parts: dict[str, str], says: str) -> None:
    """A view that cannot describe itself or start is refused at deployment, with what it did."""
    compiled = bench.compiler.compile(wasm(**parts))
    with pytest.raises(NotAView, match=says):
        bench.host.trial(compiled, "", ())


IMPORT = '(import "wasi:filesystem/types@0.2.3" (instance))'


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        pytest.param({"without": "restore"}, "lacks the function restore", id="missing"),
        pytest.param({"interface": "indelible:view/view@2.0.0"}, "neither", id="other-version"),
        pytest.param(
            {"interface": "indelible:view/views@1.0.0"}, "indelible:view/views@1.0.0", id="other-name"
        ),
        pytest.param({"outer": IMPORT}, "imports wasi:filesystem/types@0.2.3", id="import"),
        pytest.param(
            {"outer": '(import "evil:net/sockets@1.0.0" (instance))'}, "evil:net/sockets", id="import"
        ),
        pytest.param({"memory": '(memory (export "memory") 1 2 shared)'}, "shared memory", id="threads"),
        pytest.param({"memory": '(memory (export "memory") i64 1)'}, "64-bit memory", id="memory64"),
        pytest.param({"extra": "(memory $two 1)"}, "several memories", id="multi-memory"),
        pytest.param({"extra": "(type $s (struct))"}, "not valid", id="gc"),
        pytest.param({"extra": "(tag $t)"}, "not valid", id="exceptions"),
        pytest.param(
            {"extra": "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))"},
            "not valid",
            id="relaxed-simd",
        ),
    ],
)
def test_what_is_no_view_is_refused_by_name(bench: Bench, parts: dict[str, str], says: str) -> None:
    """Each refusal names what is missing, wrong or not allowed."""
    with pytest.raises(NotAView, match=says):
        bench.compiler.compile(wasm(**parts))


def test_a_function_of_another_type_is_refused_with_both_types(bench: Bench) -> None:
    """A u64 where the contract has u32 is shown beside what it must be."""
    text = view_text().replace('(param "part" u32) (result (option', '(param "part" s32) (result (option')
    with pytest.raises(NotAView, match=r"snapshot has the type .*part: s32.* it must be .*part: u32"):
        bench.compiler.compile(bytes(wat2wasm(text)))


def test_two_interfaces_are_refused(bench: Bench) -> None:
    """A component that is two views at once would mean two things."""
    text = view_text().rstrip()[:-1] + '(export "indelible:view/view@1.1.0" (instance $v)))'
    with pytest.raises(NotAView, match="more than one"):
        bench.compiler.compile(bytes(wat2wasm(text)))


def test_a_later_version_of_the_contract_is_served(bench: Bench) -> None:
    """A host serves every 1.x, under the name that the component has."""
    with bench.open(interface="indelible:view/view@1.4.2") as fold:
        assert fold.query(NO_QUESTION).body == b"{}"


FOREVER = """(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 512))
    (i32.store (i32.const 8) (i32.const {size})) (i32.const 0)"""


@pytest.mark.parametrize("size", [0, 2, 64 * KIB])
def test_a_snapshot_without_end_is_given_up(bench: Bench, size: int) -> None:
    """Parts for ever, even empty ones, end at the limit; the instance stays good."""
    with bench.open(snapshot=FOREVER.format(size=size)) as fold:
        with pytest.raises(SnapshotUnsupported, match="more than"):
            list(fold.snapshot())
        assert fold.usable


def test_no_snapshot_and_a_part_too_large_are_unsupported(bench: Bench) -> None:
    """A view without a snapshot is replayed; so is one whose part is over the limit."""
    with bench.open() as fold, pytest.raises(SnapshotUnsupported, match="no snapshot"):
        list(fold.snapshot())
    with bench.open(snapshot=FOREVER.format(size=64 * KIB + 1)) as fold:
        with pytest.raises(SnapshotUnsupported, match="at most"):
            list(fold.snapshot())
        assert fold.usable


def test_a_restore_that_fails_says_how(bench: Bench) -> None:
    """A refusal is GuestError, a trap is GuestTrap, and no parts at all are the caller's error."""
    for body, failure in ((REFUSES.format(case=300, size=0), GuestError), ("unreachable", GuestTrap)):
        compiled = bench.compiler.compile(wasm(restore=body))
        with pytest.raises(failure):
            bench.host.reopen(compiled, "", (), ["state"])
    with pytest.raises(ValueError, match="at least one part"):
        bench.host.reopen(bench.compiler.compile(wasm()), "", (), [])


def test_columns_that_do_not_fit_together_are_refused(bench: Bench) -> None:
    """A wrong batch is an error of the caller and never reaches the guest."""
    good = batch(b"{}", b"{}")
    for wrong in (
        good._replace(times=[1]),
        good._replace(writers=("a", "b")),
        good._replace(writers=("a", "b"), writer_of=[0]),
        good._replace(writers=("a", "b"), writer_of=[0, 2]),
    ):
        with bench.open() as fold, pytest.raises(ValueError, match=r"writer|columns"):
            fold.append(wrong)
    with bench.open() as fold, pytest.raises(OverflowError):
        fold.append(good._replace(first_sequence=-1))


def test_damaged_code_is_never_run_and_is_compiled_again(tmp_path: Path) -> None:
    """A flipped byte in the cache is found before the engine sees it; compiling again repairs the cache."""
    compiler = Compiler(tmp_path, LIMITS)
    compiled = compiler.compile(wasm())
    damaged = bytearray(compiled.path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    compiled.path.write_bytes(damaged)
    with Host(tmp_path, LIMITS) as host:
        with pytest.raises(CodeLost):
            host.open(compiled, "", ())
        with host.open(compiler.compile(wasm()), "", ()) as fold:
            assert fold.query(NO_QUESTION).body == b"{}"


def test_the_cache_is_for_its_owner_only_and_used_again(tmp_path: Path) -> None:
    """The folder is 0700 whatever it was; the second compilation gives the first one's file, untouched."""
    folder = tmp_path / "code"
    folder.mkdir(mode=0o755)
    compiler = Compiler(folder, LIMITS)
    assert folder.stat().st_mode & 0o777 == 0o700
    first = compiler.compile(wasm())
    written = first.path.stat().st_ino
    assert Compiler(folder, LIMITS).compile(wasm()) == first
    assert first.path.stat().st_ino == written
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_compilation_over_its_limits_is_refused(tmp_path: Path) -> None:
    """A child that is out of memory or processor time is a refusal, and the process lives."""
    body = "(local $x i32)" + "(local.set $x (i32.add (local.get $x) (i32.const 7)))" * 20_000
    component = wasm(extra=f"(func {body})" * 60)
    for limits, says in (
        (replace(LIMITS, compile_memory_bytes=64 * MIB), "64 MiB of memory"),
        (replace(LIMITS, compile_seconds=1), "1 s of processor time"),
    ):
        with pytest.raises(NotAView, match=says):
            Compiler(tmp_path, limits).compile(component)
