"""Views in memory, with a host and a log that are simple enough to be obviously right.

Both keep the same contracts as the real ones; `tests/e2e` has those.
"""

import asyncio
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

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
from indelible.views.types import Deployment

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

    def read(self, log: int, after_sequence: int, max_events: int, max_bytes: int) -> Columns:
        """A run of events, written in turns by two writers; more than asked, as what was stored together."""
        self.reads += 1
        run = self.events[after_sequence : after_sequence + max_events + after_sequence % 3]
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

    @property
    def fuel_used(self) -> int:
        """A unit a call."""
        return 1

    def append(self, batch: Batch) -> None:
        """Fold, or fail as the payload says."""
        assert self.usable
        assert not self.closed
        if batch.first_sequence != self.folded + 1:
            self.world.out_of_order.append((batch.first_sequence, self.folded))
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
        self.out_of_order: list[tuple[int, int]] = []  # first event of a batch, and the last one folded
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

    async def ask_past(
        self, name: str, upto: int | None, *wishes: str, seconds: float | None = None
    ) -> tuple[str, int]:
        """Query a view as it stood at an event, or at the head without being followed."""
        view = next(view for view in self.views if view.name == name)
        question = Question([(wish, "") for wish in wishes], "", ())
        answer, applied = await self.residence.query_past(
            view, question, upto=upto, at_least=len(self.log.events), timeout_seconds=seconds
        )
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
            assert process.hosting.out_of_order == [], "each batch began after the last event folded"
            assert process.hosting.open_views == 0, "every instance was closed"

    return asyncio.run(whole())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that background work will bring."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - it is other threads that make it hold
            await asyncio.sleep(0.002)
