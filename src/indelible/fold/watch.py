"""Stops a running guest: after a time, or when another thread asks."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wasmtime import Store

from indelible.fold import capi

_CONTINUE = 0


class Watch:
    """The deadline of one store's calls.

    The engine calls out at each tick of its epoch and is told to go on or to stop; so only this store is
    stopped, whatever others run on the same engine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = False
        self._ended = ""
        self._deadline = 0.0
        self.stopped_because = ""

    def interrupt(self, reason: str) -> None:
        """Stop the call that is running now; does nothing when none is."""
        with self._lock:
            if self._running and not self.stopped_because:
                self.stopped_because = reason

    def end(self, reason: str) -> None:
        """Stop the call that is running now, and each that begins later, at its first tick."""
        with self._lock:
            self._ended = reason
            self.stopped_because = self.stopped_because or reason

    @contextmanager
    def timed(self, store: Store, seconds: float) -> Iterator[None]:
        """Bound what runs inside to `seconds` of wall time."""
        with self._lock:
            self._deadline = time.monotonic() + seconds
            self.stopped_because = self._ended
            self._running = True
        store.set_epoch_deadline(1)
        try:
            yield
        finally:
            with self._lock:
                self._running = False

    def on_tick(self) -> bool:
        """Say whether the guest may go on."""
        if not self.stopped_because and time.monotonic() >= self._deadline:
            self.stopped_because = "the call took too long"
        return not self.stopped_because


def attach(watch: Watch, store: Store) -> object:
    """Make the engine ask `watch`; the caller keeps the returned object for as long as the store lives."""

    def call_out(_context: int, _data: int, delta: Any, kind: Any) -> int:
        if not watch.on_tick():
            return int(capi.error_new(b"stopped by the host") or 0)
        delta[0] = 1
        kind[0] = _CONTINUE
        return 0

    callback: Callable[..., int] = capi.DEADLINE_CALLBACK(call_out)
    capi.epoch_deadline_callback(capi.address_of(store.ptr()), callback, None, capi.no_finalizer)
    return callback
