"""Reads that views share: the same events as without, read once, within a bound."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st
from tests.harness.residence import Log

from indelible.views.batches import count
from indelible.views.ports import Columns
from indelible.views.shared_reads import SharedReads

MANY = 1 << 20


class Steady(Log):
    """A time belongs to an event, not to a reading."""

    def read(self, log: int, after_sequence: int, max_events: int, max_bytes: int) -> Columns:
        """A run of events."""
        run = super().read(log, after_sequence, max_events, max_bytes)
        return run._replace(times=list(range(run.first_sequence, run.first_sequence + count(run))))


class Slow(Log):
    """The first reading waits, and fails."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()

    def read(self, log: int, after_sequence: int, max_events: int, max_bytes: int) -> Columns:
        """A run of events, when the test lets it."""
        self.entered.set()
        self.go_on.wait(10)
        if self.reads == 0:
            self.reads += 1
            raise OSError("not now")
        return super().read(log, after_sequence, max_events, max_bytes)


def read_all(reads: SharedReads, after: int, enough: int) -> list[tuple[int, int, bytes, bytes]]:
    """Sequence, time, payload and writer of every event after one, as a view would come by them."""
    found: list[tuple[int, int, bytes, bytes]] = []
    while count(run := reads.read(1, after, enough, MANY)):
        assert run.first_sequence == after + 1
        places = run.writer_of or [0] * count(run)
        for at, payload in enumerate(run.payloads):
            found.append((run.first_sequence + at, run.times[at], payload, run.writers[places[at]]))
        after += count(run)
    return found


@given(
    sizes=st.lists(st.integers(0, 40), max_size=6),
    starts=st.lists(st.integers(0, 120), min_size=1, max_size=8),
    enough=st.integers(1, 30),
    limit=st.sampled_from([1, 2_000, MANY]),
)
def test_what_is_shared_is_what_the_log_holds(
    sizes: list[int], starts: list[int], enough: int, limit: int
) -> None:
    """From wherever a view reads on, while the log grows and whatever was let go: all events, once each."""
    log = Steady()
    shared, plain = SharedReads(log, limit, lambda _: True), SharedReads(log, limit, lambda _: False)
    for grown in [*sizes, 0]:
        log.events += [b"%d" % len(log.events)] * grown
        for start in starts:
            after = min(start, len(log.events))
            assert read_all(shared, after, enough) == read_all(plain, after, enough)
        assert shared.held_bytes <= limit


def test_twenty_who_follow_read_the_log_once() -> None:
    """However far apart they begin, once each is in step with the runs that the first one read."""
    log = Log()
    log.events = [b"x"] * 1_000
    reads = SharedReads(log, MANY, lambda _: True)
    read_all(reads, 0, 100)
    once = log.reads
    for start in range(20):
        read_all(reads, start * 37, 100)
    assert log.reads == once + 20  # each asked once more whether anything follows the last event


def test_who_asks_for_what_is_being_read_waits_for_it() -> None:
    """Eight threads at one place bring one reading; a reading that fails fails for all, and is done again."""
    log = Slow()
    log.events = [b"x"] * 10
    reads = SharedReads(log, MANY, lambda _: True)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(reads.read, 1, 0, 10, MANY)
        assert log.entered.wait(10)
        others = [pool.submit(reads.read, 1, 0, 10, MANY) for _ in range(7)]
        log.go_on.set()
        failed = sum(isinstance(each.exception(10), OSError) for each in [first, *others])
    assert failed >= 1
    assert count(reads.read(1, 0, 10, MANY)) == 10
    assert log.reads == 2


def test_a_short_run_is_read_again_when_the_log_has_grown() -> None:
    """Or whoever comes later would replay in steps as small as the appends were."""
    log = Log()
    reads = SharedReads(log, MANY, lambda _: True)
    for _ in range(50):
        log.events.append(b"x")
        reads.read(1, len(log.events) - 1, 100, MANY)
    assert count(reads.read(1, 10, 100, MANY)) == 40
    assert count(reads.read(1, 20, 100, MANY)) == 30


def test_a_log_with_one_view_keeps_nothing() -> None:
    """What nobody else will read is not held."""
    log = Log()
    log.events = [b"x"] * 10
    reads = SharedReads(log, MANY, lambda _: False)
    read_all(reads, 0, 5)
    assert reads.held_bytes == 0
