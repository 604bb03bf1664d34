"""The heads as this process knows them: newest committed, and whether a log may be continued."""

from collections import OrderedDict

from indelible.store.base import HeadRow, Reader

CACHED_HEADS = 65_536


class Heads:
    """Newest committed head of each log. Never goes back; may be asked from any thread.

    The committer is the only writer of the store, so a head that it announced is newer than any read.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: OrderedDict[int, HeadRow] = OrderedDict()

    def committed(self, heads: dict[int, HeadRow]) -> None:
        """Take what a commit moved; called on the event loop only."""
        known = self._known
        for log, head in heads.items():
            known[log] = head
            known.move_to_end(log)
        while len(known) > CACHED_HEADS:
            known.popitem(last=False)

    def get(self, log: int) -> HeadRow:
        """The head of a log.

        Raises:
            LookupError: there is no such log.
        """
        head = self._known.get(log)
        if head is None:
            head = self._reader.head(log)
            if head is None:
                raise LookupError(f"no log {log}")
            newer = self._known.get(log)  # a commit may have come in between
            if newer is not None:
                return newer
        return head
