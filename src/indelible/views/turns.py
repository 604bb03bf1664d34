"""Turns of views on a few threads: one thread a view at a time, the urgent first, workspaces in turns."""

import heapq
import threading
import time
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import NamedTuple

from indelible.views.fair import FairQueue


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

    __slots__ = ("again", "generation", "group", "queued", "running", "turn")

    def __init__(self, group: Hashable, turn: Turn) -> None:
        self.group = group
        self.turn = turn
        self.queued: Urgency | None = None
        self.again: Urgency | None = None
        self.running = False
        self.generation = 0


class Turns:
    """The fold threads.

    `threads` run whatever comes next. `reserve` more run only for groups (workspaces) that have no turn
    running, so that one tenant's long questions cannot hold all threads.
    A turn must not raise.
    """

    def __init__(self, threads: int, reserve: int, now: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
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
        if ticket.running:
            if ticket.again is None or urgency < ticket.again:
                ticket.again = urgency
        elif ticket.queued is None or urgency < ticket.queued:
            ticket.queued = urgency
            ticket.generation += 1
            self._queue.push(urgency, ticket.group, (ticket, ticket.generation))
            self._changed.notify()

    def _work(self) -> None:
        while (ticket := self._next()) is not None:
            self._done(ticket, ticket.turn())

    def _next(self) -> Ticket | None:
        with self._changed:
            while not self._stopping:
                self._ring()
                ticket = self._pop()
                if ticket is not None:
                    return ticket
                self._changed.wait(self._later[0][0] - self._now() if self._later else None)
            return None

    def _ring(self) -> None:
        while self._later and self._later[0][0] <= self._now():
            _, _, ticket, urgency = heapq.heappop(self._later)
            self._wake(ticket, urgency)

    def _pop(self) -> Ticket | None:
        busy = set(self._running.values()) if len(self._running) >= self._threads else ()
        while (entry := self._queue.pop(busy)) is not None:
            ticket, generation = entry
            if ticket.queued is not None and ticket.generation == generation:
                ticket.queued = None
                ticket.running = True
                self._running[ticket] = ticket.group
                return ticket
        return None

    def _done(self, ticket: Ticket, again: Again | None) -> None:
        with self._changed:
            ticket.running = False
            del self._running[ticket]
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
