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
from wasmtime import wat2wasm

from indelible.fold.compile import Compiler
from indelible.fold.errors import (
    Aborted,
    AnswerTooLarge,
    CodeLost,
    GuestError,
    GuestTrap,
    NotAView,
    QueryRefused,
    SnapshotUnsupported,
)
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Question, World
from indelible.model.limits import KIB, MIB, Limits

LIMITS = replace(
    Limits(),
    view_memory_bytes=256 * MIB,
    fold_batch_seconds=2.0,
    query_seconds=1.0,
    fold_fuel_per_batch=50_000_000,
    query_fuel=50_000_000,
    answer_bytes=1 * MIB,
    snapshot_part_bytes=64 * KIB,
    snapshot_bytes=256 * KIB,
)

WRITER = "550e8400-e29b-41d4-a716-446655440000"
NO_QUESTION = Question((), "", ())
ANSWERS_OK = "(i32.store (i32.const 0) (i32.const 0)) (i32.const 0)"
BODIES = {
    "realloc": """(local $at i32) (local.set $at (global.get $top))
        (global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 7))
            (i32.const -8)))
        (local.get $at)""",
    "describe": """(i32.store (i32.const 0) (i32.const 256)) (i32.store (i32.const 4) (i32.const 2))
        (i32.const 0)""",
    "init": ANSWERS_OK,
    "append": f"(global.set $top (i32.const 4096)) {ANSWERS_OK}",
    "query": """(i32.store (i32.const 4) (i32.const 264)) (i32.store (i32.const 8) (i32.const 16))
        (i32.store (i32.const 12) (i32.const 256)) (i32.store (i32.const 16) (i32.const 2))"""
    + ANSWERS_OK,
    "snapshot": ANSWERS_OK,
    "restore": ANSWERS_OK,
}
LIFTS = {
    "describe": "(result i32)",
    "init": "(param i32 i32 i32 i32) (result i32)",
    "append": "(param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
    "query": "(param i32 i32 i32 i32 i32 i32) (result i32)",
    "snapshot": "(param i32) (result i32)",
    "restore": "(param i32 i32 i32 i32) (result i32)",
}
TYPES = """
    (type $pairs (list (tuple string string)))
    (type $done (result (error string)))
    (type $form-0 (enum "text" "base64" "erased"))
    (type $batch-0 (record (field "first-sequence" u64) (field "times" (list u64))
        (field "payloads" (list string)) (field "forms" (list {form})) (field "writers" (list string))
        (field "writer-of" (list u32))))
    (type $request-0 (record (field "params" $pairs) (field "body" string) (field "facts" $pairs)))
    (type $answer-0 (record (field "content-type" string) (field "body" string)))
    (type $refusal-0 (variant (case "invalid" string) (case "failed" string)))
"""
"""The types of the interface; what has a name in WIT ends in -0 until it is imported or exported."""

SIGNATURES = {
    "describe": "(result string)",
    "init": '(param "config" string) (param "facts" $pairs) (result $done)',
    "append": '(param "events" {batch}) (result $done)',
    "query": '(param "request" {request}) (result (result {answer} (error {refusal})))',
    "snapshot": '(param "part" u32) (result (option string))',
    "restore": '(param "part" u32) (param "text" string) (param "last" bool) (result $done)',
}
NAMED = ("form", "batch", "request", "answer", "refusal")


def types(suffix: str) -> str:
    """Define the types; `suffix` picks the imported (-1) or exported (-2) form of the named ones."""
    defined = TYPES.format(form=f"$form{suffix}")
    if suffix == "-0":
        return defined
    verb, prefix = ("import", "t-") if suffix == "-1" else ("export", "")
    for name in NAMED:
        named = (
            f'(import "{prefix}{name}" (type ${name}-1 (eq ${name}-0)))'
            if verb == "import"
            else f'(export ${name}-2 "{name}" (type ${name}-0))'
        )
        # A named type stands right behind its definition, because later ones refer to it.
        start = defined.index(f"(type ${name}-0")
        end = defined.find("(type $", start + 1)
        end = len(defined) if end < 0 else end
        defined = f"{defined[:end]}{named}\n    {defined[end:]}"
    return defined


def signature(name: str, suffix: str) -> str:
    """The type of a function, over one form of the named types."""
    return SIGNATURES[name].format(**{kind: f"${kind}{suffix}" for kind in NAMED})


def shim(names: list[str]) -> str:
    """A component that takes functions and gives them as an interface: types get their names there."""
    imports = "\n".join(f'(import "f-{name}" (func $g-{name} {signature(name, "-1")}))' for name in names)
    exports = "\n".join(
        f'(export "{name}" (func $g-{name}) (func {signature(name, "-2")}))' for name in names
    )
    renamed = types("-2").replace("$pairs", "$pairs-e").replace("$done", "$done-e")
    for kind in NAMED:
        renamed = renamed.replace(f"${kind}-0", f"${kind}-e")
    exports = exports.replace("$pairs", "$pairs-e").replace("$done", "$done-e")
    return f"(component $shim {types('-1')} {imports} {renamed} {exports})"


def core(memory: str, extra: str, bodies: dict[str, str]) -> str:
    """The core module: every function of the interface and an allocator that only goes up."""
    functions = "\n".join(f'(func (export "{name}") {lift} {bodies[name]})' for name, lift in LIFTS.items())
    return f"""(core module $m
        {memory}
        (global $top (mut i32) (i32.const 4096))
        (data (i32.const 256) "{{}}      application/json\\ff\\fe")
        {extra}
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) {bodies["realloc"]})
        {functions})"""


def view_text(
    *,
    memory: str = '(memory (export "memory") 16)',
    extra: str = "",
    outer: str = "",
    interface: str = "indelible:view/view@1.0.0",
    without: str = "",
    **bodies: str,
) -> str:
    """The text of a component; `bodies` replaces functions, `extra` adds to the module, `outer` around it."""
    names = [name for name in LIFTS if name != without]
    lifts = "\n".join(
        f"(func $l-{name} {signature(name, '-0')} "
        f'(canon lift (core func $i "{name}") (memory (core memory $i "memory")) '
        f'(realloc (core func $i "realloc")))' + ")"
        for name in names
    )
    given = "\n".join(f'(with "f-{name}" (func $l-{name}))' for name in names)
    given += "\n".join(f'(with "t-{name}" (type ${name}-0))' for name in NAMED)
    return f"""(component {outer}
        {core(memory, extra, {**BODIES, **bodies})}
        (core instance $i (instantiate $m))
        {types("-0")} {lifts} {shim(names)}
        (instance $v (instantiate $shim {given}))
        (export "{interface}" (instance $v)))"""


class Bench:
    """A compiler and a host on one cache folder."""

    def __init__(self, folder: Path) -> None:
        self.compiler = Compiler(folder, LIMITS)
        self.host = Host(folder, LIMITS)

    def open(self, **parts: str) -> Fold:
        """Compile a text and open it."""
        return self.host.open(self.compiler.compile(wasm(**parts)), "", ())


def wasm(**parts: str) -> bytes:
    """The component of `view_text`."""
    return bytes(wat2wasm(view_text(**parts)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for the module: compiling the same text twice costs nothing."""
    bench = Bench(tmp_path_factory.mktemp("code"))
    with bench.host:
        yield bench


def batch(*payloads: bytes, first: int = 1) -> Batch:
    """Events a microsecond apart."""
    return Batch(first, range(1_000, 1_000 + len(payloads)), payloads, (WRITER,))


def test_a_plain_view_opens_folds_and_answers(bench: Bench) -> None:
    """The text that the other cases break is itself a view that works."""
    compiled = bench.compiler.compile(wasm())
    assert compiled.world is World.VIEW
    assert bench.host.trial(compiled, "", ()) == "{}"
    with bench.open() as fold:
        fold.append(batch(b"{}", b"", b"\xff", "ä".encode()))
        assert fold.query(NO_QUESTION) == ("application/json", b"{}")
        assert fold.usable


LOOP = "(loop $l (br $l)) (i32.const 0)"
DEEP = "(call $deep) (i32.const 0)"
RECURSION = "(func $deep (call $deep))"


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


REFUSES = """(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const {case}))
    (i32.store (i32.const 8) (i32.const 300)) (i32.store (i32.const 12) (i32.const {size})) (i32.const 0)"""


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
