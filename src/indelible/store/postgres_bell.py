"""Telling other processes that heads moved, with LISTEN and NOTIFY, on sessions of their own.

Sent after the commit and not inside it, since the database lets commits that notify pass one by one. Many
commits make one ring. Who is not told looks by itself a little later: nothing here is retried.
"""

import threading
import uuid
from collections.abc import Callable

import psycopg

from indelible.store.base import StoreError
from indelible.store.postgres_session import READER, AnyConnection, Link

CHANNEL = "indelible_heads"
RING_SECONDS = 0.01
AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 1.0  # so long at most until a stop is seen


class Bell:
    """Rings, and hears others ring. `heard` is called on a thread of this class."""

    def __init__(self, link: Link, heard: Callable[[], None]) -> None:
        self._link = link
        self._heard = heard
        self._name = uuid.uuid4().hex
        self._rung = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._always, args=(work,), name=f"bell-{work.__name__}", daemon=True)
            for work in (self._ring, self._hear)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def ring(self) -> None:
        """Let the others know, soon. Cheap, from any thread."""
        self._rung.set()

    def stop(self) -> None:
        """End the threads."""
        self._stopping.set()
        self._rung.set()
        for thread in self._threads:
            thread.join()

    def _always(self, work: Callable[[AnyConnection], None]) -> None:
        """Do `work` on a session, and again on another when it was lost."""
        while not self._stopping.is_set():
            try:
                session = self._link.connect(READER)
            except StoreError:
                self._stopping.wait(AGAIN_SECONDS)
                continue
            try:
                work(session)
            except psycopg.Error:
                self._stopping.wait(RING_SECONDS)
            finally:
                session.close()

    def _ring(self, session: AnyConnection) -> None:
        while not self._stopping.is_set():
            self._rung.wait()
            if self._stopping.wait(RING_SECONDS):
                return
            self._rung.clear()
            session.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._name))

    def _hear(self, session: AnyConnection) -> None:
        session.execute(f"LISTEN {CHANNEL}")
        while not self._stopping.is_set():
            told = [notice.payload for notice in session.notifies(timeout=_LOOK_SECONDS, stop_after=1)]
            if any(name != self._name for name in told):
                self._heard()
