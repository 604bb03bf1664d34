"""Turns of views on a few threads: one thread a view at a time, the urgent first, workspaces in turns."""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import NamedTuple

from indelible.views.fair import FairQueue
from indelible.views.yielding import Yielding


class Urgency(IntEnum):
    """Whose turn comes first."""

    ANSWER = 0  # a question can be answered at once, or nearly
    ASKED = 1  # a question waits for a long replay
    FOLLOW = 2  # a few events, or housekeeping
    REPLAY = 3  # a long replay that nobody waits for
    LOOK = 4  # find out what is stored


class Again(NamedTuple):
    """What a turn wants next: another turn, after that many seconds."""

    urgency: Urgency
    seconds: float = 0.0


Turn = Callable[[], Again | None]


class Ticket:
    """A view's place among the turns. Its fields belong to `Turns` and its lock."""

    __slots__ = ("again", "generation", "group", "queued", "running", "turn")  # running: with which urgency

    def __init__(self, group: Hashable, turn: Turn) -> None:
        self.group = group
        self.turn = turn
        self.queued: Urgency | None = None
        self.again: Urgency | None = None
        self.running: Urgency | None = None
        self.generation = 0


class Turns:
    """The fold threads.

    `threads` run whatever comes next. `reserve` more run only for groups (workspaces) that have no turn
    running, and no group has more than half of all, so that one tenant's long questions cannot hold them.
    Replays that nobody waits for hold back while the process has other work (`Yielding`).
    A turn must not raise.
    """

    def __init__(
        self,
        threads: int,
        reserve: int,
        now: Callable[[], float] = time.monotonic,
        yielding: Yielding | None = None,
    ) -> None:
        self._threads = threads
        self._share = max(1, (threads + reserve) // 2)
        self._yielding = yielding or Yielding()
        self._replay_from = 0.0  # no replay begins before
        self._now = now
        self._changed = threading.Condition()
        self._queue: FairQueue[tuple[Ticket, int]] = FairQueue(len(Urgency))
        self._later: list[tuple[float, int, Ticket, Urgency]] = []
        self._timers = 0
        self._running: dict[Ticket, Hashable] = {}
        self._stopping = False
        self._workers = [
            threading.Thread(target=self._work, name=f"fold-{number}", daemon=True)
            for number in range(threads + reserve)
        ]

    def start(self) -> None:
        """Begin to run turns."""
        for worker in self._workers:
            worker.start()

    def stop(self, timeout: float) -> bool:
        """Begin no more turns, and wait for those that run; False when one did not end in time (seconds)."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for worker in self._workers:
            if worker.ident is not None:
                worker.join(max(0.0, end - time.monotonic()))
        return not any(worker.is_alive() for worker in self._workers)

    def wake(self, ticket: Ticket, urgency: Urgency) -> None:
        """Ask for a turn; one that runs is followed by another. Cheap, from any thread."""
        with self._changed:
            self._wake(ticket, urgency)

    def _wake(self, ticket: Ticket, urgency: Urgency) -> None:
        if ticket.running is not None:
            if ticket.again is None or urgency < ticket.again:
                ticket.again = urgency
        elif ticket.queued is None or urgency < ticket.queued:
            ticket.queued = urgency
            ticket.generation += 1
            self._queue.push(urgency, ticket.group, (ticket, ticket.generation))
            self._changed.notify()

    def _work(self) -> None:
        while (ticket := self._next()) is not None:
            began, cpu_began = self._now(), time.thread_time()
            again = ticket.turn()
            self._done(ticket, again, self._now() - began, time.thread_time() - cpu_began)

    def _next(self) -> Ticket | None:
        with self._changed:
            while not self._stopping:
                self._ring()
                ticket = self._pop()
                if ticket is not None:
                    return ticket
                self._changed.wait(self._seconds_to_wait())
            return None

    def _seconds_to_wait(self) -> float | None:
        now = self._now()
        times = [self._later[0][0]] if self._later else []
        if self._replay_from > now:
            times.append(self._replay_from)
        return max(0.0, min(times) - now) if times else None

    def _ring(self) -> None:
        while self._later and self._later[0][0] <= self._now():
            _, _, ticket, urgency = heapq.heappop(self._later)
            self._wake(ticket, urgency)

    def _pop(self) -> Ticket | None:
        groups = Counter(self._running.values())
        most = self._share if len(self._running) < self._threads else 1
        busy = {group for group, turns in groups.items() if turns >= most}
        classes = Urgency.REPLAY if self._replays_wait() else None
        while (entry := self._queue.pop(busy, classes)) is not None:
            ticket, generation = entry
            if ticket.queued is not None and ticket.generation == generation:
                ticket.running, ticket.queued = ticket.queued, None
                self._running[ticket] = ticket.group
                return ticket
        return None

    def _replays_wait(self) -> bool:
        """Whether replays, and what is less urgent, must hold back."""
        if self._replay_from > self._now():
            return True
        replaying = any(ticket.running is Urgency.REPLAY for ticket in self._running)
        return replaying and self._yielding.is_busy

    def _done(self, ticket: Ticket, again: Again | None, seconds: float, cpu_seconds: float) -> None:
        with self._changed:
            if ticket.running is Urgency.REPLAY:
                self._replay_from = self._now() + self._yielding.took(seconds, cpu_seconds)
            ticket.running = None
            del self._running[ticket]
            self._changed.notify()  # what waited for this one's place: a replay, or one of the same group
            if ticket.again is not None:
                self._wake(ticket, ticket.again)
                ticket.again = None
            if again is None:
                return
            if again.seconds <= 0:
                self._wake(ticket, again.urgency)
                return
            self._timers += 1
            heapq.heappush(self._later, (self._now() + again.seconds, self._timers, ticket, again.urgency))
            self._changed.notify()
