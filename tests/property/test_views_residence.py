"""Views in memory and out of it, with a host and a log that are simple enough to be obviously right.

The host and the log here are fixtures that keep the same contracts as the real ones; `tests/e2e` has those.
"""

import asyncio
import hashlib
import json
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indelible.fold.errors import (
    Aborted,
    AnswerTooLarge,
    GuestError,
    GuestTrap,
    QueryRefused,
    SnapshotUnsupported,
)
from indelible.fold.types import Answer, Batch, Compiled, Question, World
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.model.packed import Packed
from indelible.store.objects import LocalObjects
from indelible.views.ports import Columns
from indelible.views.residence import Residence
from indelible.views.types import Deployment, Follow

Said = TypeVar("Said")
Facts = Iterable[tuple[str, str]]
SMALL = replace(DEFAULT_LIMITS, fold_batch_events=4, snapshot_every_events=10, query_wait_seconds=5.0)


class Log:
    """Events in a list."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.reads = 0

    def committed(self, _log: int) -> tuple[int, bytes]:
        """Size and a digest of all."""
        size = len(self.events)
        return size, self.root_at(0, size)

    def read(self, _log: int, after_sequence: int, max_events: int, _max_bytes: int) -> Columns:
        """A run of events, written in turns by two writers."""
        self.reads += 1
        run = self.events[after_sequence : after_sequence + max_events]
        first = after_sequence + 1
        places = [(first + offset) % 2 for offset in range(len(run))]
        times = [first + at for at in range(len(run))]
        return Columns(first, times, Packed.of(run), [b"\0" * 16, b"\1" * 16], places)

    def root_at(self, _log: int, size: int) -> bytes:
        """Not a Merkle root, but it binds as one."""
        return hashlib.sha256(repr(self.events[:size]).encode()).digest()


class View:
    """A view in Python: its state is a chain over all events; some payloads and questions make it fail."""

    def __init__(self, config: str, world: "Hosting") -> None:
        self.config = config
        self.world = world
        self.chain = config
        self.folded = 0
        self.usable = True
        self.closed = False

    @property
    def memory_bytes(self) -> int:
        """Grows by a byte an event."""
        return 100 + self.folded

    def append(self, batch: Batch) -> None:
        """Fold, or fail as the payload says."""
        assert self.usable
        assert not self.closed
        assert batch.first_sequence == self.folded + 1
        writers = batch.writer_of or [0] * len(batch.payloads)
        for at, payload in enumerate(batch.payloads):
            self._obey(payload.decode())
            event = [batch.first_sequence + at, batch.times[at], payload.decode(), batch.writers[writers[at]]]
            self.chain = hashlib.sha256(json.dumps([self.chain, event]).encode()).hexdigest()
            self.folded += 1

    def _obey(self, payload: str) -> None:
        self.usable = False
        if payload == "error":
            raise GuestError("cannot read this")
        if payload == "trap":
            raise GuestTrap("unreachable", "wasm trap: unreachable")
        if payload.startswith("flaky") and self.world.fails(payload):
            raise GuestTrap("other", "only once")
        if payload.startswith("slow") and self.world.fails(payload):
            raise Aborted("wall clock")
        self.usable = True

    def query(self, question: Question, /) -> Answer:
        """Give the state, or fail as the first parameter says."""
        assert self.usable
        assert not self.closed
        wish = question.params[0][0] if question.params else ""
        if wish == "invalid":
            raise QueryRefused("invalid", "ask differently")
        if wish == "failed":
            raise QueryRefused("failed", "cannot")
        self.usable = wish not in {"trap", "slow", "big"}
        if wish == "trap":
            raise GuestTrap("unreachable", "wasm trap")
        if wish == "slow":
            raise Aborted("wall clock")
        if wish == "big":
            raise AnswerTooLarge(100, 10)
        return Answer(
            "text/plain", f"{self.folded} {self.chain} {dict(question.facts)['at-sequence']}".encode()
        )

    def snapshot(self) -> Iterator[str | bytes]:
        """The state in two parts."""
        if self.config == "too large":
            raise SnapshotUnsupported("too large to lift")
        yield str(self.folded)
        yield self.chain

    def interrupt(self) -> None:
        """Nothing runs long here."""

    def close(self) -> None:
        """Must come once."""
        assert not self.closed
        self.closed = True
        self.world.open_views -= 1


class Hosting:
    """Makes views, and counts what it does."""

    def __init__(self) -> None:
        self.flaky: dict[str, int] = {}  # how often each payload fails
        self.opened = self.reopened = self.open_views = 0
        self._lock = threading.Lock()

    def fails(self, payload: str) -> bool:
        """Whether this payload fails this time."""
        with self._lock:
            left = self.flaky.get(payload, 0)
            self.flaky[payload] = max(0, left - 1)
        return left > 0

    def open(self, _compiled: Compiled, config: str, _facts: Facts) -> View:
        """A fresh one."""
        with self._lock:
            self.opened += 1
            self.open_views += 1
        if config == "no start":
            self.open_views -= 1
            raise GuestError("bad config")
        return View(config, self)

    def reopen(self, _compiled: Compiled, config: str, _facts: Facts, parts: Iterable[str | bytes]) -> View:
        """One from a snapshot."""
        folded, chain = parts
        with self._lock:
            self.reopened += 1
            self.open_views += 1
        view = View(config, self)
        view.folded, view.chain = int(folded), str(chain)
        return view


def load(sha256: str) -> Compiled:
    """Compiling is the fold layer's business."""
    return Compiled(sha256, World.VIEW, Path())


class Process:
    """What survives a restart, and what does not."""

    def __init__(self, folder: Path, limits: Limits = SMALL) -> None:
        self.log = Log()
        self.objects = LocalObjects(folder)
        self.hosting = Hosting()
        self.limits = limits
        self.views: list[Deployment] = []
        self.residence = self._make()

    def _make(self) -> Residence:
        return Residence(self.log, self.objects, self.hosting, load, self.limits)

    def deploy(self, name: str, config: str = "") -> None:
        """A view at work."""
        view = Deployment(name, 1, 1, name, 1, "ab" * 32, config, (("origin", "o"),))
        self.views.append(view)
        self.residence.add(view)

    async def restart(self, *, grace: float = 5.0) -> None:
        """Stop and start on the same log and bucket."""
        await self.residence.stop(grace)
        assert self.hosting.open_views == 0, "every instance was closed"
        self.residence = self._make()
        for view in self.views:
            self.residence.add(view)
        self.residence.start()

    def append(self, *payloads: str) -> None:
        """Commit and say so."""
        self.log.events += [payload.encode() for payload in payloads]
        self.residence.notify(1, len(self.log.events))

    async def ask(self, name: str, *wishes: str, at_least: int | None = None) -> tuple[str, int]:
        """Query, read-after-write by default."""
        question = Question([(wish, "") for wish in wishes], "", ())
        least = len(self.log.events) if at_least is None else at_least
        answer, applied = await self.residence.query(name, 1, question, at_least=least)
        return answer.body.decode(), applied

    async def refusal(self, name: str, *wishes: str) -> Problem:
        """Query, to be refused."""
        with pytest.raises(Problem) as caught:
            await self.ask(name, *wishes)
        return caught.value

    def expected(self, config: str = "", size: int | None = None) -> tuple[str, int]:
        """What a fresh replay answers."""
        size = len(self.log.events) if size is None else size
        view = View(config, Hosting())
        for sequence in range(1, size + 1):
            times, writer = [sequence], "01010101-0101-0101-0101-010101010101" if sequence % 2 else ZERO
            view.append(Batch(sequence, times, [self.log.events[sequence - 1]], [writer]))
        return f"{size} {view.chain} {size}", size


ZERO = "00000000-0000-0000-0000-000000000000"


def run(folder: Path, story: Callable[[Process], Awaitable[Said]], limits: Limits = SMALL) -> Said:
    """Tell a story of one process, from start to stop."""

    async def whole() -> Said:
        process = Process(folder, limits)
        process.residence.start()
        try:
            return await asyncio.wait_for(story(process), 60)
        finally:
            await process.residence.stop(5.0)
            assert process.hosting.open_views == 0, "every instance was closed"

    return asyncio.run(whole())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that background work will bring."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - it is other threads that make it hold
            await asyncio.sleep(0.002)


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 15)),
    st.tuples(st.just("ask"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("stale"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("break"), st.sampled_from(["trap", "slow", "big", "invalid"])),
    st.tuples(st.just("leave"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 5.0])),
    st.tuples(st.just("damage"), st.integers(0, 100)),
    st.tuples(st.just("flaky"), st.sampled_from(["flaky", "slow"])),
)


async def _step(process: Process, kind: str, how: object, number: int) -> None:
    if kind == "append" and isinstance(how, int):
        process.append(*[f"{number}.{each}" for each in range(how)])
    elif kind == "ask":
        config = "too large" if how == "b" else ""
        assert await process.ask(str(how)) == process.expected(config)
    elif kind == "stale":
        body, applied = await process.ask(str(how), at_least=0)
        assert (body, applied) == process.expected("too large" if how == "b" else "", applied)
    elif kind == "break":
        assert (await process.refusal("a", str(how))).code.status >= 422
    elif kind == "leave":
        process.residence._followers[(str(how), 1)].leave()
    elif kind == "restart" and isinstance(how, float):
        await process.restart(grace=how)
    elif kind == "damage" and isinstance(how, int):
        keys = process.objects.list("views/a/")
        if keys:
            process.objects.put(keys[how % len(keys)], b"damaged")
    elif kind == "flaky":
        payload = f"{how}{number}"
        process.hosting.flaky[payload] = 1 + number % 2
        process.append("x", payload, "y")


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_a_view_is_a_fresh_replay_whatever_happened(steps: list[tuple[str, object]]) -> None:
    """The same bytes as a fresh replay gives.

    Appends, questions, questions that break it, evictions, restarts, damaged snapshots, faults that pass.
    View b gives no snapshots, view a does.
    """

    async def story(process: Process) -> None:
        process.deploy("a")
        process.deploy("b", "too large")
        for number, (kind, how) in enumerate(steps):
            await _step(process, kind, how, number)
        assert await process.ask("a") == process.expected()
        assert await process.ask("b") == process.expected("too large")

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), story)


@pytest.mark.parametrize("kind", ["error", "trap"])
@pytest.mark.parametrize("place", [1, 2, 4, 5, 13, 23])
def test_a_view_fails_at_the_one_event_that_fails_again(tmp_path: Path, kind: str, place: int) -> None:
    """With its sequence and reason, for ever, also after a restart; events before it and the log live on."""

    async def story(process: Process) -> Follow:
        process.append(*[kind if at == place else f"e{at}" for at in range(1, 31)])
        process.deploy("a")
        process.deploy("b", "too large")
        for name in ("a", "b"):
            follow = await process.residence.caught_up(name, 1)
            assert follow.state == "failed"
            assert follow.error is not None
            assert (follow.error.sequence, follow.applied, follow.resident) == (place, place - 1, False)
        problem = await process.refusal("a")
        assert (problem.code.name, problem.facts["sequence"]) == ("view_failed", place)
        opened = process.hosting.opened
        await process.restart()
        await until(lambda: process.residence.status("a", 1).state == "failed")
        assert process.hosting.opened == opened, "a failure is remembered, not found again"
        return process.residence.status("a", 1)

    follow = run(tmp_path, story)
    assert follow.error is not None
    assert (follow.error.sequence, follow.applied) == (place, place - 1)
    assert follow.error.reason.endswith(
        ": cannot read this" if kind == "error" else ": wasm trap: unreachable"
    )


def test_finding_the_event_takes_two_fresh_instances(tmp_path: Path) -> None:
    """Also for a view without snapshots whose batches ended elsewhere before it failed."""

    async def story(process: Process) -> None:
        process.deploy("b", "too large")
        for number in range(7):
            process.append(str(number))
            await process.ask("b")
        process.append("8", "error")
        follow = await process.residence.caught_up("b", 1)
        assert follow.error is not None
        assert (follow.error.sequence, process.hosting.opened) == (9, 3)

    run(tmp_path, story)


def test_a_view_that_cannot_start_failed_before_the_first_event(tmp_path: Path) -> None:
    """Sequence 0, and the guest's own words."""

    async def story(process: Process) -> None:
        process.deploy("a", "no start")
        follow = await process.residence.caught_up("a", 1)
        assert follow.error is not None
        assert (follow.state, follow.error.sequence, follow.error.reason) == ("failed", 0, "bad config")

    run(tmp_path, story)


@pytest.mark.parametrize("times", [1, 2])
def test_a_failure_that_does_not_repeat_fails_no_view(tmp_path: Path, times: int) -> None:
    """It fails in its batch, or there and once more alone, and then never again: the view goes on."""

    async def story(process: Process) -> None:
        process.hosting.flaky |= {"flaky": times, "slow": 1}
        process.append("a", "b", "flaky", "c", "slow", "d")
        process.deploy("a")
        assert (await process.residence.caught_up("a", 1)).state == "live"
        assert await process.ask("a") == process.expected()

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ("invalid", "query_refused"),
        ("failed", "query_failed"),
        ("trap", "query_failed"),
        ("slow", "query_timeout"),
        ("big", "answer_too_large"),
    ],
)
def test_a_question_that_goes_wrong_is_refused_and_the_view_lives(
    tmp_path: Path, wish: str, code: str
) -> None:
    """Only that question fails; those beside it and after it are answered."""

    async def story(process: Process) -> None:
        process.append(*"abcdefghijklm")
        process.deploy("a")
        good, bad, after = await asyncio.gather(
            process.ask("a"), process.refusal("a", wish), process.ask("a")
        )
        assert good == after == process.expected()
        assert bad.code.name == code
        await until(lambda: process.residence.status("a", 1).state == "live")
        assert process.residence.status("a", 1).error is None

    run(tmp_path, story)


def test_a_restart_begins_at_the_snapshot(tmp_path: Path) -> None:
    """What was kept at the stop is not folded again, and status knows it before anybody asks."""

    async def story(process: Process) -> None:
        process.append(*[str(at) for at in range(100)])
        process.deploy("a")
        await process.ask("a")
        await process.restart()
        await until(lambda: process.residence.status("a", 1).applied == 100)
        assert process.residence.status("a", 1).state == "live"
        process.log.reads = 0
        assert await process.ask("a") == process.expected()
        assert (process.hosting.opened, process.log.reads) == (1, 0)

    run(tmp_path, story)


def _is_kept(process: Process, sequence: int) -> bool:
    return process.residence.status("a", 1).snapshot == sequence


def test_a_broken_snapshot_falls_back_to_the_one_before_and_then_to_a_replay(tmp_path: Path) -> None:
    """A damaged part, then a log with another history: dropped, deleted, replayed."""

    async def story(process: Process) -> None:
        process.deploy("a")
        for size in (20, 40):
            process.append(*[str(at) for at in range(20)])
            await process.ask("a")
            await process.restart()
            await until(partial(_is_kept, process, size))
        await process.residence.stop(5.0)
        newest = [key for key in process.objects.list("views/a/1/") if key.endswith(".part")][-1]
        process.objects.put(newest, b"damaged")
        await process.restart()
        process.log.reads = 0
        assert await process.ask("a") == process.expected()
        assert process.hosting.opened == 1, "the older snapshot served"
        await process.residence.stop(5.0)
        process.log.events[3] = b"another history"
        await process.restart()
        assert await process.ask("a") == process.expected()
        assert process.hosting.opened == 2

    run(tmp_path, story)


def test_views_stay_under_the_memory_limit_and_all_are_answered(tmp_path: Path) -> None:
    """Ten views of 150 bytes in 400: they come and go, kept in between.

    Together they are over by no more than what four threads add in one step each: an instance and a batch.
    """

    async def story(process: Process) -> None:
        process.append(*[str(at) for at in range(50)])
        names = [f"v{number}" for number in range(10)]
        for name in names:
            process.deploy(name)
        for _ in range(3):
            answers = await asyncio.gather(*[process.ask(name) for name in names])
            assert answers == [process.expected()] * len(names)
            assert process.residence._room.held_bytes <= 400 + 4 * 104
        await until(lambda: process.residence._room.held_bytes <= 400)
        assert process.hosting.opened == len(names), "each was replayed once, then restored"

    run(tmp_path, story, replace(SMALL, resident_views_bytes=400))


def test_a_view_that_cannot_fit_says_so(tmp_path: Path) -> None:
    """It grew over what all views together may take: a clear refusal, not a loop."""

    async def story(process: Process) -> None:
        process.deploy("a")
        process.append(*[str(at) for at in range(80)])
        await until(lambda: not process.residence.status("a", 1).resident)
        problem = await process.refusal("a")
        assert problem.code.name == "saturated"
        assert "resident_views_bytes" in problem.detail
        assert process.hosting.opened + process.hosting.reopened < 10

    run(tmp_path, story, replace(SMALL, resident_views_bytes=150))


def test_an_idle_view_leaves_and_comes_back(tmp_path: Path) -> None:
    """After a snapshot, and with nothing folded twice."""

    async def story(process: Process) -> None:
        process.append(*"abc")
        process.deploy("a")
        await process.ask("a")
        await until(lambda: not process.residence.status("a", 1).resident)
        follow = process.residence.status("a", 1)
        assert (follow.state, follow.applied, follow.snapshot) == ("live", 3, 3)
        process.append("d")
        assert await process.ask("a") == process.expected()
        assert (process.hosting.opened, process.hosting.reopened) == (1, 1)

    run(tmp_path, story, replace(SMALL, view_idle_seconds=0))


def test_a_resident_view_follows_commits_by_itself(tmp_path: Path) -> None:
    """Nobody needs to ask for it to stay at the head."""

    async def story(process: Process) -> None:
        process.deploy("a")
        await process.ask("a")
        process.append(*[str(at) for at in range(33)])
        await until(lambda: process.residence.status("a", 1).applied == 33)
        assert await process.ask("a", at_least=0) == process.expected()

    run(tmp_path, story)


def test_a_question_waits_for_an_event_and_no_longer_than_it_may(tmp_path: Path) -> None:
    """One that comes in time is covered; one that does not is `replaying`, with how far it is."""

    async def story(process: Process) -> None:
        process.append("a")
        process.deploy("a")
        waiting = asyncio.create_task(process.ask("a", at_least=2))
        await asyncio.sleep(0.05)
        process.append("b")
        assert await waiting == process.expected()
        with pytest.raises(Problem) as caught:
            await process.ask("a", at_least=3)
        problem = caught.value
        assert problem.code.name == "replaying"
        assert (problem.facts["applied"], problem.facts["head"]) == (2, 3)
        assert isinstance(problem.facts["retry_after"], int)

    run(tmp_path, story, replace(SMALL, query_wait_seconds=0.5))


def test_too_many_questions_are_refused(tmp_path: Path) -> None:
    """What waits for one view is bounded."""

    async def story(process: Process) -> None:
        process.deploy("a")
        waiting = [asyncio.create_task(process.ask("a", at_least=1)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Problem) as caught:
            await process.ask("a", at_least=1)
        assert caught.value.code.name == "saturated"
        process.append("x")
        assert await asyncio.gather(*waiting) == [process.expected()] * 3

    run(tmp_path, story, replace(SMALL, questions_per_view=3))


def test_a_cancelled_question_leaves_nothing_behind(tmp_path: Path) -> None:
    """The view answers the next one."""

    async def story(process: Process) -> None:
        process.deploy("a")
        gone = asyncio.create_task(process.ask("a", at_least=1))
        await asyncio.sleep(0.02)
        gone.cancel()
        process.append("x")
        assert await process.ask("a") == process.expected()
        assert not process.residence._followers["a", 1].is_asked

    run(tmp_path, story)


def test_a_removed_view_is_gone_with_its_snapshots(tmp_path: Path) -> None:
    """Those who wait are told to ask again; what is stored goes only when that is asked."""

    async def story(process: Process) -> None:
        process.append(*[str(at) for at in range(20)])
        for name in ("a", "b"):
            process.deploy(name)
            await process.ask(name)
        await process.restart()
        await until(lambda: process.residence.status("b", 1).applied == 20)
        waiting = asyncio.create_task(process.refusal("a"))
        waiting_long = asyncio.create_task(process.ask("a", at_least=21))
        await asyncio.sleep(0.02)
        process.residence.remove("a", 1, forget_snapshots=True)
        process.residence.remove("b", 1, forget_snapshots=False)
        process.residence.remove("c", 1, forget_snapshots=True)
        waiting.cancel()
        with pytest.raises(Problem, match="replaced or deleted"):
            await waiting_long
        assert (await process.refusal("a")).code.name == "not_found"
        await until(lambda: process.objects.list("views/a/") == [])
        assert process.objects.list("views/b/") != []
        await until(lambda: process.hosting.open_views == 0)

    run(tmp_path, story)


def test_stopping_refuses_what_waits(tmp_path: Path) -> None:
    """Nobody is left hanging."""

    async def story(process: Process) -> None:
        process.deploy("a")
        waiting = asyncio.create_task(process.refusal("a"))
        head = asyncio.create_task(process.ask("a", at_least=1))
        await waiting if waiting.done() else None
        await asyncio.sleep(0.02)
        await process.residence.stop(5.0)
        with pytest.raises(Problem, match="stopping"):
            await head
        assert (await process.refusal("a")).code.name == "stopping"
        waiting.cancel()

    run(tmp_path, story)
