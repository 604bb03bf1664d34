"""The heads as this process knows them: the newest it saw, and those that it may sign."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from indelible.store.base import HeadRow, Reader

CACHED_HEADS = 65_536


class Heads:
    """Newest committed head of each log. Never goes back; may be asked from any thread.

    Where this process alone writes to the store, a head that it announced is newer than any read. Where the
    store is shared, others move heads too: `fresh` asks, and `get` is as new as what was seen last.
    """

    def __init__(self, reader: Reader, *, shared: bool = False) -> None:
        self._reader = reader
        self.shared = shared
        self._known: OrderedDict[int, HeadRow] = OrderedDict()
        self._own: OrderedDict[int, HeadRow] = OrderedDict()  # of a shared store: by clean commits of ours
        self._keeping = threading.Lock()

    def committed(self, heads: Mapping[int, HeadRow]) -> None:
        """Take what a commit of this process moved; called on the event loop only."""
        if self.shared:
            with self._keeping:
                _keep(self._own, heads)
                _keep(self._known, heads)
            return
        known = self._known
        for log, head in heads.items():
            known[log] = head
            known.move_to_end(log)
        while len(known) > CACHED_HEADS:
            known.popitem(last=False)

    def seen(self, heads: Mapping[int, HeadRow]) -> None:
        """Take what was read of a shared store."""
        with self._keeping:
            _keep(self._known, heads)

    def forget(self) -> None:
        """A commit is unknown, or another server answers: know nothing but what is read from now on."""
        with self._keeping:
            self._known.clear()
            self._own.clear()

    def get(self, log: int) -> HeadRow:
        """The newest head of a log that this process knows.

        Raises:
            LookupError: there is no such log.
        """
        head = self._known.get(log)
        if head is None:
            head = self._read(log)
            newer = self._known.get(log)  # a commit may have come in between
            if newer is not None:
                return newer
        return head

    def fresh(self, log: int) -> HeadRow:
        """The head of a log, at least as new as every commit that any process answered before this call.

        Raises:
            LookupError: there is no such log.
            StoreUnavailable: the store is shared and does not answer.
        """
        if not self.shared:
            return self.get(log)
        head = self._read(log)
        self.seen({log: head})
        known = self._known.get(log)
        return head if known is None or known.size < head.size else known

    def refresh(self, logs: Sequence[int]) -> None:
        """Let `get` be as `fresh` for these logs, in one read."""
        if self.shared and logs:
            self.seen(self._reader.heads(logs))

    def own(self, log: int) -> HeadRow | None:
        """The newest head that a clean commit of this process stands behind: it alone may be signed."""
        return self._own.get(log) if self.shared else self.get(log)

    def _read(self, log: int) -> HeadRow:
        head = self._reader.head(log)
        if head is None:
            raise LookupError(f"no log {log}")
        return head


def _keep(known: OrderedDict[int, HeadRow], heads: Mapping[int, HeadRow]) -> None:
    for log, head in heads.items():
        before = known.get(log)
        if before is None or before.size <= head.size:
            known[log] = head
        known.move_to_end(log)
    while len(known) > CACHED_HEADS:
        known.popitem(last=False)
