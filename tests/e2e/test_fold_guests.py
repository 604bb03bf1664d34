"""The host with guests in C that do real work: the view "tally" and a machine (tests/guests)."""

import gc
import importlib.util
import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from indelible.fold.compile import Compiler
from indelible.fold.errors import GuestTrap, reason_of
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Compiled, Question, World
from indelible.model.limits import Limits

WRITERS = ("550e8400-e29b-41d4-a716-446655440000", "00000000-0000-0000-0000-000000000001")
FACTS = (("log-id", WRITERS[0]), ("log-name", "tenant-acme-audit"), ("origin", "example.com/log/1"))
ASK = Question((), "", (("at-sequence", "1"),))


def load_builder() -> ModuleType:
    """Import tests/guests/build.py, which is no package."""
    path = Path(__file__).resolve().parents[1] / "guests" / "build.py"
    spec = importlib.util.spec_from_file_location("indelible_guests_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


class Stand:
    """A host, and compiled guests by name."""

    def __init__(self, folder: Path) -> None:
        self.compiler = Compiler(folder, Limits())
        self.host = Host(folder, Limits())
        self.need: Callable[[str], Path] = load_builder().need

    def compiled(self, name: str) -> Compiled:
        """Compile a guest, or skip the test when its tools are missing."""
        return self.compiler.compile(self.need(name).read_bytes())

    def open(self, name: str, config: str = "") -> Fold:
        """Open a fold."""
        return self.host.open(self.compiled(name), config, FACTS)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One for the module."""
    stand = Stand(tmp_path_factory.mktemp("code"))
    with stand.host:
        yield stand


def payload(number: int) -> bytes:
    """An event: mostly JSON of about 130 bytes, now and then something else."""
    if number % 50 == 7:
        return b"\xff\xfe not text \x00" + bytes([number % 256])
    if number % 50 == 8:
        return "kein JSON, aber Text: äöü".encode()
    return json.dumps(
        {
            "type": f"record.{('created', 'updated', 'deleted')[number % 3]}",
            "actor": f"user_{number:04x}",
            "resource": f"invoice_{number:05d}",
            "changes": {"status": ["draft", "sent"]},
            "note": "ä" if number % 5 == 0 else "\0",
        }
    ).encode()


def batch(first: int, count: int) -> Batch:
    """Events `first` to `first + count - 1` of one imagined log."""
    numbers = range(first, first + count)
    return Batch(
        first,
        [10**15 + number for number in numbers],
        [payload(number) for number in numbers],
        WRITERS,
        [number % 2 for number in numbers],
    )


def answer(fold: Fold) -> bytes:
    """What the view reports now."""
    return fold.query(ASK).body


@pytest.mark.parametrize("name", ["tally-c", "machine-c"])
def test_batches_of_any_size_give_the_same_answer(stand: Stand, name: str) -> None:
    """Where a batch ends, what is asked in between, and a restore on the way do not show."""
    with stand.open(name) as whole, stand.open(name) as pieces:
        whole.append(batch(1, 500))
        at = 1
        for size in (1, 2, 97, 150):
            pieces.append(batch(at, size))
            pieces.append(batch(at + size, 0))
            answer(pieces)
            at += size
        parts = list(pieces.snapshot())
        with stand.host.reopen(stand.compiled(name), "", FACTS, parts) as restored:
            assert answer(restored) == answer(pieces)
            restored.append(batch(at, 501 - at))
            assert answer(restored) == answer(whole)


def test_text_and_other_bytes_arrive_as_the_contract_says(stand: Stand) -> None:
    """Bytes that are not UTF-8 come as base64 and are counted; their neighbours are not touched."""
    events = [
        b'{"type":"a"}',
        b"\xff",
        b'{"type":"a"}',
        "ä".encode(),
        b'{"type":"\xc3\xa4"}',
        b"\xed\xa0\x80",
    ]
    with stand.open("tally-c") as fold:
        fold.append(Batch(1, range(5, 11), events, WRITERS[:1]))
        report = json.loads(answer(fold))
    assert report["counts"] == {"a": 2, "ä": 1}
    assert report["unreadable"] == 3
    assert report["events"] == 6
    assert (report["first"], report["last"]) == ({"sequence": 1, "time": 5}, {"sequence": 6, "time": 10})
    assert report["writers"] == {WRITERS[0]: 6}


def test_parameters_arrive_in_order_with_repeats(stand: Stand) -> None:
    """What a view is asked reaches it as it stood in the URL."""
    with stand.open("tally-c") as fold:
        fold.append(batch(1, 6))
        asked = Question((("type", "record.updated"), ("type", "nope")), "", ())
        assert json.loads(fold.query(asked).body)["counts"] == {"nope": 0, "record.updated": 2}


def test_a_large_event_and_a_wide_batch_pass(stand: Stand) -> None:
    """A mebibyte of one event, and ten thousand events at once, are folded like any other."""
    with stand.open("tally-c") as fold:
        fold.append(Batch(1, [1], [b"[" * (1 << 20)], WRITERS[:1]))
        fold.append(batch(2, 10_000))
        assert json.loads(answer(fold))["events"] == 10_001


def test_out_of_fuel_is_decided_for_the_event_that_needs_it(stand: Stand, tmp_path: Path) -> None:
    """A batch may run out of fuel where each of its events has enough; one that has not fails alone too."""
    limits = replace(Limits(), fold_fuel_per_batch=2_000_000)
    event = b'{"type":"a"}'
    compiled = Compiler(tmp_path, limits).compile(stand.need("tally-c").read_bytes())
    with Host(tmp_path, limits) as host:
        with host.open(compiled, "", FACTS) as fold, pytest.raises(GuestTrap) as caught:
            fold.append(Batch(1, range(2_000), [event] * 2_000, WRITERS[:1]))
        assert caught.value.kind == "fuel"
        with host.open(compiled, "", FACTS) as fold:
            for sequence in range(1, 2_001):
                fold.append(Batch(sequence, [1], [event], WRITERS[:1]))
            with pytest.raises(GuestTrap) as caught:
                fold.append(Batch(2_001, [1], [HEAVY], WRITERS[:1]))
        assert reason_of(caught.value) == "the view failed (fuel): all fuel consumed by WebAssembly"


HEAVY = b'{"type":"a","note":"' + b"x" * (1 << 20) + b'"}'


def test_folds_run_in_parallel_threads(stand: Stand) -> None:
    """Several threads, each with folds of its own, on one engine: every answer is the right one."""
    with stand.open("tally-c") as fold:
        fold.append(batch(1, 300))
        expected = answer(fold)
    answers: list[bytes] = []

    def work() -> None:
        for _ in range(5):
            with stand.open("tally-c") as fold:
                for first in range(1, 301, 50):
                    fold.append(batch(first, 50))
                answers.append(answer(fold))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 20


def test_calls_and_instances_leave_no_memory_behind(stand: Stand) -> None:
    """After a warm-up, thousands of calls and hundreds of instances leave the process at its size."""
    big = batch(1, 1_000)

    def round_of_work() -> None:
        for _ in range(50):
            with stand.open("tally-c") as fold:
                fold.append(big)
                for _ in range(20):
                    answer(fold)
                list(fold.snapshot())
                with pytest.raises(GuestTrap):
                    fold.query(Question((("boom", "trap"),), "", ()))

    round_of_work()
    before = resident_bytes()
    for _ in range(3):
        round_of_work()
    gc.collect()
    assert resident_bytes() - before < 16 << 20


def resident_bytes() -> int:
    """The process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_the_host_costs_little_for_an_event(stand: Stand) -> None:
    """In batches of a thousand the host and a small guest take microseconds an event, not tens of them."""
    wide = Batch(1, range(10**15, 10**15 + 1_000), [b"x" * 130] * 1_000, WRITERS[:1])
    with stand.open("tally-c") as fold:
        fold.append(wide)
        best = min(timed(lambda: fold.append(wide)) for _ in range(20))
    assert best / 1_000 < 6e-6, f"{best * 1e3:.2f} µs an event"


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_a_machine_takes_bytes_and_gives_bytes(stand: Stand) -> None:
    """Any bytes go in, one event at a time; the answer is JSON when it is; there is no description."""
    compiled = stand.compiled("machine-c")
    assert compiled.world is World.MACHINE
    assert stand.host.trial(compiled, "", FACTS) == ""
    with stand.open("machine-c") as fold:
        fold.append(Batch(1, [5, 6], [b"\xff\x00", b""], WRITERS[:1]))
        got = fold.query(Question((("a", "1"),), "", ()))
        assert got.content_type == "application/json"
        report = json.loads(got.body)
        assert (report["events"], report["bytes"]) == (2, 2)
        assert bytes.fromhex(report["input"]) == b'{"a":"1"}'
        assert bytes.fromhex(json.loads(fold.query(Question((), b"\xff", ())).body)["input"]) == b"\xff"


def test_a_machines_snapshot_is_bound_to_its_form(stand: Stand) -> None:
    """A part that no machine gave is refused before the guest sees it."""
    compiled = stand.compiled("machine-c")
    bad: Sequence[list[str | bytes]] = ([], ["text"], [b"short"], [b"x" * 64], [b"", b""])
    for parts in bad:
        with pytest.raises(ValueError, match="machine"):
            stand.host.reopen(compiled, "", FACTS, parts)
