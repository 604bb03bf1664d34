"""Whatever is appended in whatever groups: the log that comes of it, and every way to read it back."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.logs import WRITERS, World, check_log

from indelible.log.group import Committed, Known
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.limits import Limits

LOGS = 2
SMALL = Limits(commit_group_bytes=600, commit_group_events=12, idempotency_keys_in_memory=5)


@dataclass(frozen=True)
class Step:
    """One append: to which log, by whom, what, and under which conditions; `None` passes time or restarts."""

    log: int
    writer: int
    payloads: tuple[bytes, ...]
    key: str | None
    expected: int | None  # relative to the size that the model knows before the group


payloads = st.one_of(
    st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=6),
    st.builds(lambda n, b: [b] * n, st.integers(10, 300), st.binary(min_size=1, max_size=6)),
    st.builds(lambda n: [b"L" * n], st.integers(500, 3_000)),
)
steps = st.builds(
    Step,
    st.integers(0, LOGS - 1),
    st.integers(0, len(WRITERS) - 1),
    payloads.map(tuple),
    st.none() | st.sampled_from(["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]),
    st.none() | st.none() | st.integers(-1, 2),
)
groups = st.lists(st.lists(steps, min_size=1, max_size=5) | st.sampled_from(["restart", "later"]), max_size=6)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for one example."""
    with tempfile.TemporaryDirectory(prefix="indelible-") as name:
        yield Path(name)


class Model:
    """What must come out: the events in the order in which their appends were told to stand."""

    def __init__(self) -> None:
        self.events: dict[int, tuple[bytes, bytes]] = {}  # sequence: writer and payload
        self.keys: dict[str, int] = {}

    def take(self, step: Step, outcome: object) -> None:
        """Hold an outcome against what is known."""
        if isinstance(outcome, Known):
            assert step.key is not None
            assert self.keys[step.key] == outcome.first
        elif isinstance(outcome, Committed):
            if step.key is not None:
                assert step.key not in self.keys
                self.keys[step.key] = outcome.first
            for at, payload in enumerate(step.payloads):
                assert outcome.first + at not in self.events
                self.events[outcome.first + at] = (WRITERS[step.writer], payload)
        else:
            assert isinstance(outcome, Problem)
            assert outcome.code.name == "sequence_mismatch"
            assert step.expected is not None


@settings(max_examples=60, deadline=None)
@given(groups)
def test_any_appends_make_the_log_that_a_plain_account_of_them_makes(plan: list[list[Step] | str]) -> None:
    """Sequences without gap, times that never decrease, exact bytes, root and tiles equal to naive ones."""

    async def work(path: Path) -> None:
        world = World(path, SMALL)
        world.committer.start()
        infos = [world.add_log(f"log{number}") for number in range(LOGS)]
        models = [Model() for _ in infos]
        for group in plan:
            if group == "restart":
                await world.stop()
                hands = world.hands
                world = World(path, SMALL, hands)
                world.committer.start()
                continue
            if isinstance(group, str):
                world.hands.pass_by(1.5)
                continue
            sizes = [world.heads.get(info.key).size for info in infos]
            calls = [
                world.put(
                    infos[step.log],
                    *step.payloads,
                    key=step.key,
                    writer=WRITERS[step.writer],
                    expected=None if step.expected is None else max(0, sizes[step.log] + step.expected),
                )
                for step in group
            ]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            # A twin may be told before the append that it repeats is looked at here.
            told = sorted(zip(group, outcomes, strict=True), key=lambda pair: isinstance(pair[1], Known))
            for step, outcome in told:
                models[step.log].take(step, outcome)
        assert world.committer._waiting_bytes == 0
        for info, model in zip(infos, models, strict=True):
            events = check_log(world, info)
            expected = [model.events[sequence] for sequence in range(1, len(model.events) + 1)]
            assert [(writer, payload) for _, writer, payload in events] == expected
            assert world.heads.get(info.key) == world.store.reader.head(info.key)
        await world.stop()

    with directory() as path:
        asyncio.run(work(path))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 60),
)
def test_reading_back_equals_a_plain_list(
    batches: list[tuple[int, int]], limit: int, most_bytes: int
) -> None:
    """Pages in both directions with any limit, single events, columns, and times found by bisection."""

    async def work(path: Path) -> None:
        world = World(path)
        world.committer.start()
        info = world.add_log("log")
        other = world.add_log("other")
        at = 0
        for count, seconds in batches:
            world.hands.pass_by(seconds)
            await world.put(other, b"between")
            await world.put(
                info, *[b"%d" % (at + i) * (1 + i % 3) for i in range(count)], writer=WRITERS[at % 3]
            )
            at += count
        events = check_log(world, info)
        size, reader = len(events), world.events
        for first in range(1, size + 2):
            for last in {first - 1, first, size, (first + size) // 2}:
                span = Span(first, min(last, size))
                check_pages(world, info.key, span, events, limit, most_bytes)
        for sequence in range(1, size + 1):
            event = reader.event(info.key, sequence)
            assert event is not None
            assert (event.sequence, event.payload) == (sequence, events[sequence - 1][2])
        assert reader.event(info.key, size + 1) is None
        assert reader.event(999, 1) is None
        times = [time for time, _, _ in events]
        for micros in {moment + step for moment in times for step in (-1, 0, 1)}:
            linear = next((n for n, time in enumerate(times, 1) if time >= micros), size + 1)
            assert reader.first_at_or_after(info.key, size, micros) == linear
        check_columns(world, info.key, events, limit)
        await world.stop()

    with directory() as path:
        asyncio.run(work(path))


def check_pages(
    world: World, log: int, span: Span, events: list[tuple[int, bytes, bytes]], limit: int, most_bytes: int
) -> None:
    """Pages joined are the span, in both orders; none is over a limit but for its first event."""
    for reverse in (False, True):
        found: list[int] = []
        rest, more = span, span.first <= span.last
        while more:
            page, more = world.events.page(log, rest, limit, most_bytes, reverse=reverse)
            assert 1 <= len(page) <= limit
            assert len(page) == 1 or sum(len(event.payload) for event in page) <= most_bytes
            found += [event.sequence for event in page]
            for event in page:
                assert (event.time, event.writer, event.payload) == events[event.sequence - 1]
            edge = page[-1].sequence
            rest = rest._replace(last=edge - 1) if reverse else rest._replace(first=edge + 1)
        expected = list(range(span.first, span.last + 1))
        assert found == (expected[::-1] if reverse else expected)


def check_columns(world: World, log: int, events: list[tuple[int, bytes, bytes]], limit: int) -> None:
    """The columns that views fold hold the same events, and end where it is enough and a chunk ends."""
    for first in range(1, len(events) + 1):
        columns = world.events.columns(log, Span(first, len(events)), limit, 1 << 20)
        count = len(columns.payloads)
        enough = world.events.chunk(log, min(first + limit - 1, len(events)))
        assert enough is not None
        assert count == enough.last - first + 1
        assert columns.first_sequence == first
        part = events[first - 1 : first - 1 + count]
        assert list(columns.times) == [time for time, _, _ in part]
        assert list(columns.payloads) == [payload for _, _, payload in part]
        places = columns.writer_of or [0] * count
        assert [columns.writers[place] for place in places] == [writer for _, writer, _ in part]
