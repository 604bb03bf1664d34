"""Small components written as text, of which a test replaces one part, and a bench that opens them."""

from dataclasses import replace
from pathlib import Path

from wasmtime import wat2wasm

from indelible.fold.compile import Compiler
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Question
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


def batch(*payloads: bytes, first: int = 1) -> Batch:
    """Events a microsecond apart."""
    return Batch(first, range(1_000, 1_000 + len(payloads)), payloads, (WRITER,))


LOOP = "(loop $l (br $l)) (i32.const 0)"
DEEP = "(call $deep) (i32.const 0)"
RECURSION = "(func $deep (call $deep))"


REFUSES = """(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const {case}))
    (i32.store (i32.const 8) (i32.const 300)) (i32.store (i32.const 12) (i32.const {size})) (i32.const 0)"""
