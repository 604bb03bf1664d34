"""Copying SQLite's log of pages into the database beside the writer, which would else stand still for it."""

import threading
from pathlib import Path
from queue import SimpleQueue

import apsw

from indelible.store.base import StoreFull
from indelible.store.sqlite_read import translate


class Checkpointer:
    """Passive checkpoints on a thread and a connection of their own, one pass at a time.

    A pass takes what was committed when it began. Once little is committed meanwhile, the writer copies that
    itself, and then SQLite begins its log anew. Commits are durable without any of this: a pass only
    keeps the log short.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passes: SimpleQueue[str] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether a pass is under way."""
        return not self._idle.is_set()

    def begin(self) -> None:
        """Begin a pass; only while none is running."""
        self._idle.clear()
        self._passes.put("pass")

    def wait(self) -> None:
        """Return when no pass is running."""
        self._idle.wait()

    def close(self) -> None:
        """End the thread, after the pass that is running."""
        self._passes.put("")
        self._thread.join()

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        while self._passes.get():
            try:
                connection = connection or _open(self._path)
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.BusyError:
                pass  # the writer was at it; what is left comes with the next pass
            except apsw.Error as error:
                told = translate(error, 0 if connection is None else connection.system_errno)
                if not isinstance(told, StoreFull):  # then the log stays as it is, and is tried again
                    self.failure = told
            self._idle.set()
        if connection is not None:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close()


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("synchronous", "FULL")
    connection.pragma("wal_autocheckpoint", 0)
    return connection
