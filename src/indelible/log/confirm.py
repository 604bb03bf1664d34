"""Making another process's head one that may be signed here.

A head that is only read may be of a commit that its database answered with doubt: shown, and not yet on the
standby that would take over. So it is written again, unchanged, under its lock: when that commit comes back
clean, so is all that the database committed before it.
"""

import asyncio
from collections.abc import Sequence

from indelible.log.commit import Committer
from indelible.log.heads import Heads
from indelible.log.pending import AuditEvent, Change
from indelible.store.base import HeadRow, Transaction


class Confirmation:
    """Confirms heads of a shared store. On the event loop."""

    def __init__(self, heads: Heads, committer: Committer) -> None:
        self._heads = heads
        self._committer = committer

    async def confirm(self, log: int) -> None:
        """Let the present head of a log be this process's own, unless it is.

        Raises:
            Problem: as a change that could not be committed.
        """
        own = self._heads.own(log)
        fresh = await asyncio.to_thread(self._heads.fresh, log)
        if own is not None and own.size >= fresh.size:
            return

        def apply(transaction: Transaction, _now: int) -> tuple[HeadRow, Sequence[AuditEvent]]:
            head = transaction.lock_heads([log])[log]
            transaction.put_head(log, head)
            return head, ()

        head: HeadRow = await self._committer.change(Change(apply, decides=False))
        self._heads.committed({log: head})
