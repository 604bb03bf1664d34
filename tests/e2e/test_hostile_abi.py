"""Components that lie across the component boundary: pointers, lengths, discriminants, allocators, names.

Each runs in a child process, which must answer with the stated refusal and then serve an honest view.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guests import attack as attacks
from tests.guests import build, wat
from tests.guests.attack import Make
from tests.guests.drive import Child, code_folder

TOP = 0xFFFF_FFF0
"""An address beyond any memory of a test."""

SPOT = 400
"""Where a hostile result lies in the module's memory."""


def lying(extra: str = "", **parts: str) -> Make:
    """Return a maker of the honest view with parts replaced."""
    return lambda: wat.component(wat.core(extra=extra, **parts))


def giving(function: str, *words: int) -> Make:
    """Return a maker of a view whose `function` gives a result of these words."""
    return lying(wat.data(SPOT, *words), **{function: f"i32.const {SPOT}"})


ALLOCATORS = [
    attacks.Attack(
        "gives an address beyond memory", lying(realloc=f"i32.const {TOP}"), attacks.APPEND, "GuestTrap"
    ),
    attacks.Attack(
        "gives the last byte of memory", lying(realloc="i32.const 1048575"), attacks.APPEND, "GuestTrap"
    ),
    attacks.Attack("gives an odd address", lying(realloc="i32.const 70001"), attacks.APPEND, "GuestTrap"),
    attacks.Attack(
        "gives one address to all, so that arguments overlap",
        lying(realloc="i32.const 70000"),
        attacks.ALL,
        attacks.FINE,
    ),
    attacks.Attack(
        "gives address 0, so that arguments go over the module's results",
        lying(realloc="i32.const 0"),
        attacks.APPEND,
        "GuestTrap",
        kind="abi",
    ),
    attacks.Attack(
        "gives addresses over the module's own constants",
        lying(realloc=f"i32.const {wat.DESCRIBED}"),
        attacks.TRIAL,
        attacks.FINE,
    ),
    attacks.Attack("never comes back", lying(realloc=wat.FOREVER), attacks.APPEND, "GuestTrap", kind="fuel"),
    attacks.Attack("traps", lying(realloc="unreachable"), attacks.APPEND, "GuestTrap", kind="unreachable"),
    attacks.Attack(
        "calls itself without end",
        lying(realloc="(call $realloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))"),
        attacks.APPEND,
        "GuestTrap",
        kind="stack",
    ),
    attacks.Attack(
        "grows memory at each call, so that it may move under the host",
        lying(realloc=wat.REALLOC.replace("i32)", "i32) (drop (memory.grow (i32.const 1)))", 1)),
        attacks.ALL,
        attacks.FINE,
    ),
]

RESULTS = [
    attacks.Attack(
        "describe: the result lies beyond memory",
        lying(describe=f"i32.const {TOP}"),
        attacks.TRIAL,
        "NotAView",
    ),
    attacks.Attack(
        "describe: the result is not aligned", lying(describe="i32.const 65"), attacks.TRIAL, "NotAView"
    ),
    attacks.Attack("describe: a text beyond memory", giving("describe", TOP, 100), attacks.TRIAL, "NotAView"),
    attacks.Attack(
        "describe: a text of 4 GiB", giving("describe", 0, 0xFFFF_FFFF), attacks.TRIAL, "NotAView"
    ),
    attacks.Attack(
        "describe: a text of 2 GiB from the end of memory",
        giving("describe", 1048575, 1 << 31),
        attacks.TRIAL,
        "NotAView",
    ),
    attacks.Attack(
        "describe: not UTF-8",
        lying(
            f'{wat.data(SPOT, 500, 4)} (data (i32.const 500) "{{\\ff\\fe}}")', describe=f"i32.const {SPOT}"
        ),
        attacks.TRIAL,
        "NotAView",
    ),
    attacks.Attack("describe: an empty text", giving("describe", 0, 0), attacks.TRIAL, "NotAView", "JSON"),
    attacks.Attack("init: result 7 of 2", giving("init", 7), attacks.OPEN, "GuestTrap"),
    attacks.Attack("append: result 255 of 2", giving("append", 255), attacks.APPEND, "GuestTrap"),
    attacks.Attack(
        "append: an error text beyond memory", giving("append", 1, TOP, 16), attacks.APPEND, "GuestTrap"
    ),
    attacks.Attack(
        "append: an error text that wraps around", giving("append", 1, 16, TOP), attacks.APPEND, "GuestTrap"
    ),
    attacks.Attack(
        "append: the result pointer is -1", lying(append="i32.const -1"), attacks.APPEND, "GuestTrap"
    ),
    attacks.Attack("query: result 2 of 2", giving("query", 2, 0, 0, 0, 0), attacks.QUERY, "GuestTrap"),
    attacks.Attack("query: refusal 5 of 2", giving("query", 1, 5, 336, 2), attacks.QUERY, "GuestTrap"),
    attacks.Attack(
        "query: a body beyond memory", giving("query", 0, 320, 10, TOP, 64), attacks.QUERY, "GuestTrap"
    ),
    attacks.Attack(
        "query: a content type beyond memory", giving("query", 0, TOP, 10, 336, 2), attacks.QUERY, "GuestTrap"
    ),
    attacks.Attack(
        "query: an honest refusal",
        giving("query", 1, 0, 336, 2),
        attacks.QUERY,
        "QueryRefused",
        "^ok$",
        "invalid",
    ),
    attacks.Attack(
        "query: an honest failure",
        giving("query", 1, 1, 336, 2),
        attacks.QUERY,
        "QueryRefused",
        "^ok$",
        "failed",
    ),
    attacks.Attack("snapshot: option 9 of 2", giving("snapshot", 9, 336, 2), attacks.SNAPSHOT, "GuestTrap"),
    attacks.Attack(
        "snapshot: a part beyond memory", giving("snapshot", 1, TOP, 2), attacks.SNAPSHOT, "GuestTrap"
    ),
    attacks.Attack("restore: result 3 of 2", giving("restore", 3), attacks.REOPEN, "GuestTrap"),
    attacks.Attack(
        "restore: refuses its own snapshot",
        giving("restore", 1, 336, 2),
        attacks.REOPEN,
        "GuestError",
        "^ok$",
    ),
]

CONTROL = "\\1b[31m\\07\\00\\0d\\0a\\c2\\9b"
"""A terminal's escape, a bell, a NUL, a line break, and the C1 form of the escape, as data of a module."""

TEXTS = [
    attacks.Attack(
        "append: an error text of controls",
        lying(
            f'{wat.data(SPOT, 1, 500, 16)} (data (i32.const 500) "{CONTROL}{CONTROL}")',
            append=f"i32.const {SPOT}",
        ),
        attacks.APPEND,
        "GuestError",
    ),
    attacks.Attack(
        "append: an error text of 10 MiB",
        lying(wat.data(SPOT, 1, 1 << 17, 10 << 20), memory="200", append=f"i32.const {SPOT}"),
        attacks.APPEND,
        "GuestError",
    ),
    attacks.Attack(
        "query: a refusal of 10 MiB",
        lying(wat.data(SPOT, 1, 0, 1 << 17, 10 << 20), memory="200", query=f"i32.const {SPOT}"),
        attacks.QUERY,
        "QueryRefused",
        kind="invalid",
    ),
    attacks.Attack(
        "init: an error text of controls",
        lying(
            f'{wat.data(SPOT, 1, 500, 16)} (data (i32.const 500) "{CONTROL}{CONTROL}")',
            init=f"i32.const {SPOT}",
        ),
        attacks.TRIAL,
        "NotAView",
        "refuses its configuration",
    ),
    attacks.Attack(
        "query: a content type that would break a header",
        lying(
            f'{wat.data(SPOT, 0, 500, 12, 336, 2)} (data (i32.const 500) "a/b\\0d\\0aX: y\\0d\\0a")',
            query=f"i32.const {SPOT}",
        ),
        attacks.QUERY,
        attacks.FINE,
    ),
]


def _wit(old: str, new: str) -> str:
    contract: str = build.VIEW_WIT.read_text()
    assert old in contract
    return contract.replace(old, new)


def _other_contract(old: str, new: str, **parts: str) -> Make:
    return lambda: wat.component(wat.core(**parts), wit=_wit(old, new))


def _renamed_lift() -> Path:
    """`append` is lifted from another core function than the one that has its canonical name."""
    honest = f'(func (export "other") {wat.SIGNATURES["append"]} {wat.HONEST["append"]})'
    text = wat.text_of(wat.core(append="unreachable", extra=honest))
    alias = '(alias core export $main "indelible:view/view@1.0.0#append"'
    assert alias in text
    return wat.parsed(text.replace(alias, '(alias core export $main "other"'))


def _exported_as(*names: str) -> Make:
    """Return a maker of the honest view exported under other names."""

    def make() -> Path:
        lines = wat.text_of(wat.core()).splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith("  (export "))
        instance = lines[at][lines[at].index("(instance ") :]
        lines[at : at + 1] = [f'  (export "{name}" {instance}' for name in names]
        return wat.parsed("\n".join(lines))

    return make


NAMES = [
    attacks.Attack(
        "append is lifted from a function of another name: what is lifted counts",
        _renamed_lift,
        attacks.ALL,
        attacks.FINE,
    ),
    attacks.Attack(
        "two versions of the interface at once",
        _exported_as("indelible:view/view@1.0.0", "indelible:view/view@1.1.0"),
        attacks.TRIAL,
        "NotAView",
        "more than one",
    ),
    attacks.Attack(
        "one interface twice",
        _exported_as("indelible:view/view@1.0.0", "indelible:view/view@1.0.0"),
        attacks.TRIAL,
        "NotAView",
        "not valid",
    ),
    attacks.Attack(
        "the view's interface under the machine's name",
        _exported_as("primatomic:machine/machine@0.0.1"),
        attacks.TRIAL,
        "NotAView",
        "init",
    ),
    attacks.Attack(
        "a version to come",
        _exported_as("indelible:view/view@2.0.0"),
        attacks.TRIAL,
        "NotAView",
        "exports neither",
    ),
    attacks.Attack(
        "a later minor version is served",
        _exported_as("indelible:view/view@1.7.3"),
        attacks.ALL,
        attacks.FINE,
    ),
    attacks.Attack(
        "another name", _exported_as("evil:view/view@1.0.0"), attacks.TRIAL, "NotAView", "exports neither"
    ),
    attacks.Attack(
        "restore is missing",
        _other_contract(
            "restore: func(part: u32, text: string, last: bool) -> result<_, string>;", "", restore=""
        ),
        attacks.TRIAL,
        "NotAView",
        "restore",
    ),
    attacks.Attack(
        "snapshot gives a plain text",
        _other_contract("-> option<string>", "-> string"),
        attacks.TRIAL,
        "NotAView",
        "snapshot",
    ),
    attacks.Attack(
        "the enum has a case more",
        _other_contract("        erased,\n", "        erased,\n        extra,\n"),
        attacks.TRIAL,
        "NotAView",
        "append",
    ),
    attacks.Attack(
        "two columns have changed places",
        _other_contract("times: list<u64>", "times: list<s64>"),
        attacks.TRIAL,
        "NotAView",
        "append",
    ),
]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the hostile components."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.mark.parametrize("attack", ALLOCATORS, ids=lambda attack: attack.what)
def test_a_lying_allocator_harms_only_its_guest(child: Child, attack: attacks.Attack) -> None:
    """Whatever `cabi_realloc` gives, the host writes into the guest's own memory or traps."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", RESULTS, ids=lambda attack: attack.what)
def test_a_lying_result_is_a_trap(child: Child, attack: attacks.Attack) -> None:
    """Pointers, lengths, alignments, discriminants and UTF-8 of results are checked before they are read."""
    attacks.carry_out(child, attack)


@pytest.mark.parametrize("attack", TEXTS, ids=lambda attack: attack.what)
def test_texts_of_guests_are_capped_and_cleaned(child: Child, attack: attacks.Attack) -> None:
    """No control character and no more than 4 KiB of a guest's words get out."""
    last = attacks.carry_out(child, attack)[-1]
    assert len(last.get("text", "").encode()) <= 4_200
    assert last.get("type", "application/octet-stream") == "application/octet-stream"


@pytest.mark.parametrize("attack", NAMES, ids=lambda attack: attack.what)
def test_the_component_type_decides_what_runs(child: Child, attack: attacks.Attack) -> None:
    """Names of core functions mean nothing; names and types of the component's exports are checked."""
    attacks.carry_out(child, attack)
