"""How much memory all resident views take together, and who leaves when it is too much."""

import threading
from collections.abc import Callable
from typing import Protocol


class Guest(Protocol):
    """A view as far as room is concerned."""

    last_used: float

    @property
    def is_asked(self) -> bool:
        """Whether a question waits for it."""

    def leave(self) -> None:
        """Go out of memory soon. Any thread, without blocking."""


class Room:
    """Keeps the sum of what guests hold under `limit_bytes`, the least recently used leaving first.

    A guest that grows while it folds is over the limit by at most one batch's growth before others leave.
    """

    def __init__(self, limit_bytes: int, gauge: Callable[[float], None]) -> None:
        self._limit = limit_bytes
        self._gauge = gauge
        self._lock = threading.Lock()
        self._held: dict[Guest, int] = {}
        self._total = 0
        self._leaving: set[Guest] = set()

    @property
    def held_bytes(self) -> int:
        """What all resident views hold."""
        return self._total

    def fits(self, need_bytes: int) -> bool:
        """Whether something of this size could fit at all."""
        return need_bytes <= self._limit

    def has_spare(self, need_bytes: int) -> bool:
        """Whether it would fit now without anybody leaving."""
        return self.held_bytes + need_bytes <= self._limit

    def admit(self, guest: Guest, need_bytes: int) -> bool:
        """Let a guest come into memory; False asks it to come again, when those that must leave have left."""
        with self._lock:
            if self._make_room(need_bytes, staying=guest):
                self._set(guest, need_bytes)
                return True
            return False

    def holds(self, guest: Guest, held_bytes: int) -> None:
        """A guest says how much it holds now."""
        with self._lock:
            self._set(guest, held_bytes)
            self._make_room(0, staying=None)

    def left(self, guest: Guest) -> None:
        """A guest is out of memory."""
        with self._lock:
            self._set(guest, 0)
            self._held.pop(guest)
            self._leaving.discard(guest)

    def _set(self, guest: Guest, held_bytes: int) -> None:
        change = held_bytes - self._held.get(guest, 0)
        self._held[guest] = held_bytes
        if change:
            self._total += change
            self._gauge(self._total)

    def _make_room(self, need_bytes: int, staying: Guest | None) -> bool:
        """Say whether there is room now; if not, ask as many to leave as it takes."""
        over = self._total + need_bytes - self._limit
        if over <= 0:
            return True
        over -= sum(self._held.get(guest, 0) for guest in self._leaving)
        others = (guest for guest in self._held if guest is not staying and guest not in self._leaving)
        for guest in sorted(others, key=lambda each: (each.is_asked, each.last_used)):
            if over <= 0:
                break
            over -= self._held[guest]
            self._leaving.add(guest)
            guest.leave()
        return False
