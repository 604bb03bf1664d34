"""Components that lie across the component boundary: pointers, lengths, discriminants, allocators, names.

Each runs in a child process, which must answer with the stated refusal and then serve an honest view.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _attack_module() -> Any:
    path = Path(__file__).parents[1] / "guests" / "attack.py"
    spec = importlib.util.spec_from_file_location("guests_attack", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault("guests_attack", importlib.util.module_from_spec(spec))
    if not hasattr(module, "Attack"):
        spec.loader.exec_module(module)
    return module


A = _attack_module()
wat = A.wat
TOP = 0xFFFF_FFF0
"""An address beyond any memory of a test."""

SPOT = 400
"""Where a hostile result lies in the module's memory."""


def lying(extra: str = "", **parts: str) -> Any:
    """Return a maker of the honest view with parts replaced."""
    return lambda: wat.component(wat.core(extra=extra, **parts))


def giving(function: str, *words: int) -> Any:
    """Return a maker of a view whose `function` gives a result of these words."""
    return lying(wat.data(SPOT, *words), **{function: f"i32.const {SPOT}"})


ALLOCATORS = [
    A.Attack("gives an address beyond memory", lying(realloc=f"i32.const {TOP}"), A.APPEND, "GuestTrap"),
    A.Attack("gives the last byte of memory", lying(realloc="i32.const 1048575"), A.APPEND, "GuestTrap"),
    A.Attack("gives an odd address", lying(realloc="i32.const 70001"), A.APPEND, "GuestTrap"),
    A.Attack(
        "gives one address to all, so that arguments overlap", lying(realloc="i32.const 70000"), A.ALL, A.FINE
    ),
    A.Attack(
        "gives address 0, so that arguments go over the module's results",
        lying(realloc="i32.const 0"),
        A.APPEND,
        "GuestTrap",
        kind="abi",
    ),
    A.Attack(
        "gives addresses over the module's own constants",
        lying(realloc=f"i32.const {A.wat.DESCRIBED}"),
        A.TRIAL,
        A.FINE,
    ),
    A.Attack("never comes back", lying(realloc=wat.FOREVER), A.APPEND, "GuestTrap", kind="fuel"),
    A.Attack("traps", lying(realloc="unreachable"), A.APPEND, "GuestTrap", kind="unreachable"),
    A.Attack(
        "calls itself without end",
        lying(realloc="(call $realloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))"),
        A.APPEND,
        "GuestTrap",
        kind="stack",
    ),
    A.Attack(
        "grows memory at each call, so that it may move under the host",
        lying(realloc=wat.REALLOC.replace("i32)", "i32) (drop (memory.grow (i32.const 1)))", 1)),
        A.ALL,
        A.FINE,
    ),
]

RESULTS = [
    A.Attack(
        "describe: the result lies beyond memory", lying(describe=f"i32.const {TOP}"), A.TRIAL, "NotAView"
    ),
    A.Attack("describe: the result is not aligned", lying(describe="i32.const 65"), A.TRIAL, "NotAView"),
    A.Attack("describe: a text beyond memory", giving("describe", TOP, 100), A.TRIAL, "NotAView"),
    A.Attack("describe: a text of 4 GiB", giving("describe", 0, 0xFFFF_FFFF), A.TRIAL, "NotAView"),
    A.Attack(
        "describe: a text of 2 GiB from the end of memory",
        giving("describe", 1048575, 1 << 31),
        A.TRIAL,
        "NotAView",
    ),
    A.Attack(
        "describe: not UTF-8",
        lying(
            f'{wat.data(SPOT, 500, 4)} (data (i32.const 500) "{{\\ff\\fe}}")', describe=f"i32.const {SPOT}"
        ),
        A.TRIAL,
        "NotAView",
    ),
    A.Attack("describe: an empty text", giving("describe", 0, 0), A.TRIAL, "NotAView", "JSON"),
    A.Attack("init: result 7 of 2", giving("init", 7), A.OPEN, "GuestTrap"),
    A.Attack("append: result 255 of 2", giving("append", 255), A.APPEND, "GuestTrap"),
    A.Attack("append: an error text beyond memory", giving("append", 1, TOP, 16), A.APPEND, "GuestTrap"),
    A.Attack("append: an error text that wraps around", giving("append", 1, 16, TOP), A.APPEND, "GuestTrap"),
    A.Attack("append: the result pointer is -1", lying(append="i32.const -1"), A.APPEND, "GuestTrap"),
    A.Attack("query: result 2 of 2", giving("query", 2, 0, 0, 0, 0), A.QUERY, "GuestTrap"),
    A.Attack("query: refusal 5 of 2", giving("query", 1, 5, 336, 2), A.QUERY, "GuestTrap"),
    A.Attack("query: a body beyond memory", giving("query", 0, 320, 10, TOP, 64), A.QUERY, "GuestTrap"),
    A.Attack(
        "query: a content type beyond memory", giving("query", 0, TOP, 10, 336, 2), A.QUERY, "GuestTrap"
    ),
    A.Attack(
        "query: an honest refusal", giving("query", 1, 0, 336, 2), A.QUERY, "QueryRefused", "^ok$", "invalid"
    ),
    A.Attack(
        "query: an honest failure", giving("query", 1, 1, 336, 2), A.QUERY, "QueryRefused", "^ok$", "failed"
    ),
    A.Attack("snapshot: option 9 of 2", giving("snapshot", 9, 336, 2), A.SNAPSHOT, "GuestTrap"),
    A.Attack("snapshot: a part beyond memory", giving("snapshot", 1, TOP, 2), A.SNAPSHOT, "GuestTrap"),
    A.Attack("restore: result 3 of 2", giving("restore", 3), A.REOPEN, "GuestTrap"),
    A.Attack(
        "restore: refuses its own snapshot", giving("restore", 1, 336, 2), A.REOPEN, "GuestError", "^ok$"
    ),
]

CONTROL = "\\1b[31m\\07\\00\\0d\\0a\\c2\\9b"
"""A terminal's escape, a bell, a NUL, a line break, and the C1 form of the escape, as data of a module."""

TEXTS = [
    A.Attack(
        "append: an error text of controls",
        lying(
            f'{wat.data(SPOT, 1, 500, 16)} (data (i32.const 500) "{CONTROL}{CONTROL}")',
            append=f"i32.const {SPOT}",
        ),
        A.APPEND,
        "GuestError",
    ),
    A.Attack(
        "append: an error text of 10 MiB",
        lying(wat.data(SPOT, 1, 1 << 17, 10 << 20), memory="200", append=f"i32.const {SPOT}"),
        A.APPEND,
        "GuestError",
    ),
    A.Attack(
        "query: a refusal of 10 MiB",
        lying(wat.data(SPOT, 1, 0, 1 << 17, 10 << 20), memory="200", query=f"i32.const {SPOT}"),
        A.QUERY,
        "QueryRefused",
        kind="invalid",
    ),
    A.Attack(
        "init: an error text of controls",
        lying(
            f'{wat.data(SPOT, 1, 500, 16)} (data (i32.const 500) "{CONTROL}{CONTROL}")',
            init=f"i32.const {SPOT}",
        ),
        A.TRIAL,
        "NotAView",
        "refuses its configuration",
    ),
    A.Attack(
        "query: a content type that would break a header",
        lying(
            f'{wat.data(SPOT, 0, 500, 12, 336, 2)} (data (i32.const 500) "a/b\\0d\\0aX: y\\0d\\0a")',
            query=f"i32.const {SPOT}",
        ),
        A.QUERY,
        A.FINE,
    ),
]


def _wit(old: str, new: str) -> str:
    contract: str = A.build.VIEW_WIT.read_text()
    assert old in contract
    return contract.replace(old, new)


def _other_contract(old: str, new: str, **parts: str) -> Any:
    return lambda: wat.component(wat.core(**parts), wit=_wit(old, new))


def _renamed_lift() -> Path:
    """`append` is lifted from another core function than the one that has its canonical name."""
    honest = f'(func (export "other") {wat.SIGNATURES["append"]} {wat.HONEST["append"]})'
    text = wat.text_of(wat.core(append="unreachable", extra=honest))
    alias = '(alias core export $main "indelible:view/view@1.0.0#append"'
    assert alias in text
    return wat.parsed(text.replace(alias, '(alias core export $main "other"'))  # type: ignore[no-any-return]  # loaded by path


def _exported_as(*names: str) -> Any:
    """Return a maker of the honest view exported under other names."""

    def make() -> Path:
        lines = wat.text_of(wat.core()).splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith("  (export "))
        instance = lines[at][lines[at].index("(instance ") :]
        lines[at : at + 1] = [f'  (export "{name}" {instance}' for name in names]
        return wat.parsed("\n".join(lines))  # type: ignore[no-any-return]  # loaded by path

    return make


NAMES = [
    A.Attack(
        "append is lifted from a function of another name: what is lifted counts",
        _renamed_lift,
        A.ALL,
        A.FINE,
    ),
    A.Attack(
        "two versions of the interface at once",
        _exported_as("indelible:view/view@1.0.0", "indelible:view/view@1.1.0"),
        A.TRIAL,
        "NotAView",
        "more than one",
    ),
    A.Attack(
        "one interface twice",
        _exported_as("indelible:view/view@1.0.0", "indelible:view/view@1.0.0"),
        A.TRIAL,
        "NotAView",
        "not valid",
    ),
    A.Attack(
        "the view's interface under the machine's name",
        _exported_as("primatomic:machine/machine@0.0.1"),
        A.TRIAL,
        "NotAView",
        "init",
    ),
    A.Attack(
        "a version to come", _exported_as("indelible:view/view@2.0.0"), A.TRIAL, "NotAView", "exports neither"
    ),
    A.Attack("a later minor version is served", _exported_as("indelible:view/view@1.7.3"), A.ALL, A.FINE),
    A.Attack("another name", _exported_as("evil:view/view@1.0.0"), A.TRIAL, "NotAView", "exports neither"),
    A.Attack(
        "restore is missing",
        _other_contract(
            "restore: func(part: u32, text: string, last: bool) -> result<_, string>;", "", restore=""
        ),
        A.TRIAL,
        "NotAView",
        "restore",
    ),
    A.Attack(
        "snapshot gives a plain text",
        _other_contract("-> option<string>", "-> string"),
        A.TRIAL,
        "NotAView",
        "snapshot",
    ),
    A.Attack(
        "the enum has a case more",
        _other_contract("        erased,\n", "        erased,\n        extra,\n"),
        A.TRIAL,
        "NotAView",
        "append",
    ),
    A.Attack(
        "two columns have changed places",
        _other_contract("times: list<u64>", "times: list<s64>"),
        A.TRIAL,
        "NotAView",
        "append",
    ),
]


@pytest.fixture(scope="module")
def child() -> Iterator[Any]:
    """Start the process that hosts the hostile components."""
    with A.drive.Child(A.build.cache_folder() / "code") as started:
        yield started


@pytest.mark.parametrize("attack", ALLOCATORS, ids=lambda attack: attack.what)
def test_a_lying_allocator_harms_only_its_guest(child: Any, attack: Any) -> None:
    """Whatever `cabi_realloc` gives, the host writes into the guest's own memory or traps."""
    A.carry_out(child, attack)


@pytest.mark.parametrize("attack", RESULTS, ids=lambda attack: attack.what)
def test_a_lying_result_is_a_trap(child: Any, attack: Any) -> None:
    """Pointers, lengths, alignments, discriminants and UTF-8 of results are checked before they are read."""
    A.carry_out(child, attack)


@pytest.mark.parametrize("attack", TEXTS, ids=lambda attack: attack.what)
def test_texts_of_guests_are_capped_and_cleaned(child: Any, attack: Any) -> None:
    """No control character and no more than 4 KiB of a guest's words get out."""
    last = A.carry_out(child, attack)[-1]
    assert len(last.get("text", "").encode()) <= 4_200
    assert last.get("type", "application/octet-stream") == "application/octet-stream"


@pytest.mark.parametrize("attack", NAMES, ids=lambda attack: attack.what)
def test_the_component_type_decides_what_runs(child: Any, attack: Any) -> None:
    """Names of core functions mean nothing; names and types of the component's exports are checked."""
    A.carry_out(child, attack)
