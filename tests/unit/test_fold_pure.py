"""The parts of the host that are functions of bytes and text."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from indelible.fold import cache
from indelible.fold.errors import Aborted, GuestTrap, NotAView, TooLargeToLift
from indelible.fold.guest import Rung, ladder
from indelible.fold.machine_world import content_type_of, question_bytes
from indelible.fold.memory import parse_regions, size_at
from indelible.fold.scan import scan
from indelible.fold.signature import find_interface, refused_imports
from indelible.fold.text import clean
from indelible.fold.trap import explain, needs_more_parts, read_cause
from indelible.fold.types import Question, World
from indelible.fold.values import BASE64, TEXT, prepare
from indelible.fold.wasi import Moment, Sandbox
from indelible.model.limits import GIB, KIB, MIB, Limits

COMPONENT = b"\0asm\x0d\x00\x01\x00"
MODULE = b"\0asm\x01\x00\x00\x00"


def leb(value: int) -> bytes:
    """An unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(kind: int, content: bytes) -> bytes:
    """A section of a component or of a core module."""
    return bytes([kind]) + leb(len(content)) + content


def module(*bodies: int, memories: bytes = b"") -> bytes:
    """A core module with function bodies of these sizes."""
    code = leb(len(bodies)) + b"".join(leb(size) + bytes(size) for size in bodies)
    return MODULE + (section(5, memories) if memories else b"") + section(10, code)


def component(*modules: bytes) -> bytes:
    """A component of core modules."""
    return COMPONENT + b"".join(section(1, content) for content in modules)


def test_scan_counts_what_is_nested() -> None:
    """Modules and functions inside components inside components count towards one sum."""
    inner = component(module(5, 6))
    counts = scan(component(module(1, 2, 3, memories=b"\x01\x00\x01")) + section(4, inner), Limits())
    assert (counts.modules, counts.functions, counts.memories, counts.sections) == (2, 5, 1, 6)


LIMITS = replace(
    Limits(),
    component_bytes=64 * KIB,
    component_functions=4,
    component_function_bytes=1_000,
    component_sections=8,
    component_modules=3,
    component_depth=3,
)


def nested(depth: int) -> bytes:
    """Components inside one another."""
    data = component(module(1))
    for _ in range(depth - 1):
        data = COMPONENT + section(4, data)
    return data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a WebAssembly component"),
        (b"\x89PNG\r\n\x1a\n", "not a WebAssembly component"),
        (module(1), "core WebAssembly module"),
        (COMPONENT, "holds no code"),
        (component(module(1)) + bytes(64 * KIB), "MiB"),
        (component(module(1))[:-1], "cut short"),
        (COMPONENT + section(200, b""), "no section has the id 200"),
        (COMPONENT + section(1, b"nothing!"), "no known start"),
        (COMPONENT + b"\x01\xff\xff\xff\xff\xff\xff", "no number"),
        (COMPONENT + b"\x01", "no number"),
        (component(module(1_000)), ""),
        (component(module(1_001)), "1001 bytes; at most 1000"),
        (component(module(1, 1), module(1, 1)), ""),
        (component(module(1, 1), module(1, 1, 1)), "more than 4 functions"),
        (component(*[module()] * 4), "more than 3 core modules"),
        (COMPONENT + section(0, b"\x01x") * 9, "more than 8 sections"),
        (nested(3), ""),
        (nested(4), "more than 3 deep"),
        (component(module(memories=b"\x02\x00\x01\x00\x01")), "several memories"),
        (component(module(memories=b"\x01\x03\x01\x02")), "shared memory"),
        (component(module(memories=b"\x01\x04\x01")), "64-bit memory"),
        (component(module(memories=b"\x01\x08\x01\x00")), "page size"),
    ],
)
def test_scan_refuses_with_a_sentence(data: bytes, says: str) -> None:
    """Each limit is exact, and each refusal says what is wrong; an empty expectation is accepted."""
    if not says:
        scan(data, LIMITS)
        return
    with pytest.raises(NotAView, match=says):
        scan(data, LIMITS)


def test_scan_of_a_flood_of_sections_ends_early() -> None:
    """Millions of empty sections are refused at the limit, not walked."""
    with pytest.raises(NotAView, match="sections"):
        scan(COMPONENT + section(0, b"") * 4_000_000, Limits())


@pytest.mark.parametrize(
    ("raw", "limit", "text"),
    [
        (b"plain", 100, "plain"),
        (b"\x1b[31mred\x1b[0m\r\nnext\x00", 100, "[31mred [0m next"),
        ("a\u202eb\u200bc\u2028d".encode(), 100, "a b c d"),
        (b"\xff\xfe", 100, "\ufffd\ufffd"),
        ("ää".encode(), 3, "ä"),
        (b"x" * 50, 10, "x" * 10),
        ("\x9b31m", 100, "31m"),
    ],
)
def test_clean_gives_one_short_line(raw: bytes | str, limit: int, text: str) -> None:
    """Controls, escapes and direction marks become blanks, and a cut never splits a character."""
    assert clean(raw, limit) == text


def test_clean_never_exceeds_its_limit() -> None:
    """Replacement characters are longer than the bytes they stand for; the limit holds all the same."""
    assert len(clean(b"\xff" * 100, 100).encode()) <= 100


def test_payloads_are_text_until_one_is_not() -> None:
    """All UTF-8: no forms. One that is not: base64 of it alone, and forms for all."""
    fine = prepare([b"a", b"", "ä".encode(), b"\n"])
    assert (fine.joined, list(fine.sizes), list(fine.forms)) == (b"a\n\n\xc3\xa4\n\n", [1, 0, 2, 1], [])
    mixed = prepare([b"a", b"\xc3", b"\xa4", b"\xed\xa0\x80"])
    assert list(mixed.forms) == [TEXT, BASE64, BASE64, BASE64]
    assert mixed.joined == b"a\nww==\npA==\n7aCA"


def test_memories_are_found_in_a_map_of_the_process() -> None:
    """A memory is the accessible run before GiB without access; all else is not."""
    lines = b"""\
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
7f0000100000-7f0000200000 ---p 00000000 00:00 0
7f1000000000-7f1000010000 rw-p 00000000 00:01 9 /memfd:wasm-memory-image (deleted)
7f1000010000-7f1000050000 rw-p 00000000 00:00 0
7f1000050000-7f1102000000 ---p 00000000 00:00 0
7f2000000000-7f2000010000 r-xp 00000000 00:00 0
7f2000010000-7f2200000000 ---p 00000000 00:00 0
7f3000000000-7f3000010000 rw-p 00000000 00:00 0
7f3000020000-7f3200000000 ---p 00000000 00:00 0
""".splitlines()
    assert parse_regions(lines) == {0x7F1000000000: 0x50000}
    assert parse_regions(lines, frozenset(lines)) == {}
    text = b"\n" + b"".join(line + b"\n" for line in lines)
    assert size_at(text, 0x7F1000000000) == 0x50000
    for other in (0x7F0000000000, 0x7F1000050000, 0x7F2000000000, 0x7F3000000000):
        assert size_at(text, other) is None
    assert size_at(text, 0x1234) is None


def test_the_ladder_shares_one_limit() -> None:
    """Whatever the rung, memories times their share is the whole, and nobody gets more than the limits."""
    rungs = ladder(replace(Limits(), view_memories=16, view_tables=20))
    assert rungs == [Rung(1, 4), Rung(2, 8), Rung(4, 16), Rung(8, 20), Rung(16, 20)]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("0: 0x1 - m!wasm trap: integer\n\nCaused by:\n  wasm trap: call stack exhausted", "stack"),
        ("wasm trap: all fuel consumed by WebAssembly", "fuel"),
        ("Caused by:\n wasm trap: out of bounds memory access", "memory"),
        ("string pointer/length out of bounds of memory", "abi"),
        ("resource limit exceeded: instance count too high at 65", "limit"),
        ("something new", "other"),
    ],
)
def test_engine_messages_become_kinds(raw: str, kind: str) -> None:
    """The cause decides, not the backtrace before it, which holds names of the guest's choice."""
    failure = explain(read_cause(raw.encode(), 400))
    assert isinstance(failure, GuestTrap)
    assert failure.kind == kind


BACKTRACE = b"error while executing at wasm backtrace:\n"


def test_faults_of_the_host_are_not_decided() -> None:
    """Memory that the system refuses aborts; a name in a backtrace that says the same does not."""
    assert isinstance(explain(read_cause(b"mmap failed: Cannot allocate memory (os error 12)", 400)), Aborted)
    spoofed = read_cause(BACKTRACE + b"0: m!os error\nCaused by:\n bad char", 400)
    assert isinstance(explain(spoofed), GuestTrap)
    lifted = read_cause(b"too much: fuel allocated for hostcalls has been exhausted", 400)
    assert isinstance(explain(lifted), TooLargeToLift)


def test_only_a_count_asks_for_the_next_rung() -> None:
    """A trap that talks of counts does not."""
    assert needs_more_parts(read_cause(b"resource limit exceeded: memory count too high at 2", 400))
    assert not needs_more_parts(read_cause(b"wasm trap: count too high", 400))


def test_worlds_are_told_apart_by_name() -> None:
    """One interface of one of the worlds, in any 1.x; other exports do not matter."""
    assert find_interface(["x", "indelible:view/view@1.12.3"]) == (World.VIEW, "indelible:view/view@1.12.3")
    machine = "primatomic:machine/machine@0.0.1"
    assert find_interface([machine, "wasi:cli/run@0.2.0"]) == (World.MACHINE, machine)
    for names in ([], ["indelible:view/view@2.0.0"], ["indelible:view/view@1.0.0", machine]):
        with pytest.raises(NotAView):
            find_interface(names)


def test_a_machine_may_import_wasi_without_http() -> None:
    """A view may import nothing; a machine only WASI 0.2, and only what is there."""
    fine = ["wasi:random/random@0.2.9", "wasi:filesystem/types@0.2.0"]
    bad = [
        "wasi:http/types@0.2.3",
        "wasi:random/random@0.3.0",
        "wasi:random/random@0.2.1-rc",
        "env",
        "a:b/c@1.0.0",
    ]
    assert refused_imports(World.VIEW, fine) == fine
    assert refused_imports(World.MACHINE, fine + bad) == bad


@pytest.mark.parametrize(
    ("params", "body", "expected"),
    [
        ((), "", b"{}"),
        ((("a", "1"), ("b", "2"), ("a", "3")), "", b'{"a":["1","3"],"b":"2"}'),
        ((("a", "1"),), "text ä", "text ä".encode()),
        ((), b"\xff\x00", b"\xff\x00"),
        ((("n", "ä\n"),), b"", '{"n":"ä\\n"}'.encode()),
    ],
)
def test_a_machines_input_is_the_body_or_the_parameters(
    params: tuple[tuple[str, str], ...], body: str | bytes, expected: bytes
) -> None:
    """A repeated name becomes an array in the order of the URL; a body is handed over as it is."""
    assert question_bytes(Question(params, body, ())) == expected


@pytest.mark.parametrize(
    ("body", "is_json"),
    [
        (b'{"a": 1}', True),
        (b"null", True),
        (b"", False),
        (b"NaN", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
        ('{"a":1}'.encode("utf-16"), False),
    ],
)
def test_a_machines_answer_is_json_or_octets(body: bytes, *, is_json: bool) -> None:
    """Only what every JSON parser takes is called JSON."""
    assert content_type_of(body) == ("application/json" if is_json else "application/octet-stream")


def test_random_numbers_depend_on_the_place_and_nothing_else() -> None:
    """The same call at the same event draws the same; another event, purpose or draw does not."""
    first, second = Sandbox(), Sandbox()
    first.enter("append", Moment(1, 5))
    first.random(100)
    first.enter("append", Moment(2, 6))
    second.enter("append", Moment(2, 7))
    drawn = first.random(32)
    assert drawn == second.random(32)
    others = [first.random(32)]
    for purpose, sequence in (("query", 2), ("append", 3)):
        second.enter(purpose, Moment(sequence, 6))
        others.append(second.random(32))
    assert len({drawn, *others}) == 4


def test_code_that_was_not_used_goes_first(tmp_path: Path) -> None:
    """Past the limit the oldest files go, their notes with them, never the newest."""
    for age, name in enumerate(("new", "middle", "old")):
        code = tmp_path / f"{name}.x.code"
        code.write_bytes(bytes(10))
        code.with_suffix(".json").write_text("{}")
        os.utime(code, ns=(10**9 - age, 10**9 - age))
    cache.prune(tmp_path, 25, keep=tmp_path / "new.x.code")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "middle.x.code",
        "middle.x.json",
        "new.x.code",
        "new.x.json",
    ]
    cache.prune(tmp_path, 1, keep=tmp_path / "new.x.code")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.x.code", "new.x.json"]


@pytest.mark.parametrize("note", ["", "[]", "{}", json.dumps({"world": "no:such"}), "null"])
def test_a_broken_note_is_no_note(tmp_path: Path, note: str) -> None:
    """Whatever lies beside the code, only a whole and right note makes it usable."""
    code = tmp_path / "a.b.code"
    code.write_bytes(b"code")
    code.with_suffix(".json").write_text(note)
    assert cache.checked_note(code) is None


def test_limits_leave_room_for_what_they_promise() -> None:
    """The sum of a view's memories is one limit, below what the engine reserves for each."""
    assert Limits().view_memory_bytes <= 2 * GIB
    assert Limits().answer_bytes <= 128 * MIB
