"""The deployment's log of heads: served to all, and each log's line in it to those who read that log."""

import asyncio
import uuid
from collections.abc import Sequence

from indelible.log.core import Core
from indelible.log.headlog import HeadProof
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.names import HEAD_LOG
from indelible.model.types import SERVER_WRITER, LogInfo
from indelible.service.logs import LogMaker
from indelible.service.proofs import describe_keys, tile_of
from indelible.service.ranges import Ranges
from indelible.service.types import Caller
from indelible.service.workspaces import SYSTEM_WORKSPACE, WorkspaceMaker
from indelible.store.base import Transaction


async def find_head_log(core: Core, maker: LogMaker) -> LogInfo:
    """The log of heads, which is made where there is none: in a workspace that no key sees.

    Raises:
        Problem: it cannot be made now: `read_only`, `clock_unsure`, `disk_full`, ….
    """
    found = _find(core)
    if found is not None:
        return found
    if core.gate.read_only is not None:
        raise Problem("read_only", core.gate.read_only)

    workspaces = WorkspaceMaker(maker)
    audit = await asyncio.to_thread(workspaces.audit_log)
    wanted = maker.new(0, HEAD_LOG, 0)
    await asyncio.to_thread(maker.prepare, wanted)

    def apply(transaction: Transaction, now: int) -> tuple[None, Sequence[AuditEvent]]:
        if _find(core) is not None:
            return None, ()
        workspace_id = uuid.UUID(bytes=core.randomness(16), version=4)
        writer = SERVER_WRITER.bytes
        made = workspaces.make(transaction, now, workspace_id, SYSTEM_WORKSPACE, writer, audit)
        workspace, audit_log, events = made
        info = maker.add(transaction, wanted._replace(workspace=workspace, created=now))
        return None, [*events, *maker.audits(info, audit_log, writer)]

    await core.committer.change(Change(apply))
    found = _find(core)
    if found is None:
        raise LookupError(f"{HEAD_LOG} was not made")
    return found


def _find(core: Core) -> LogInfo | None:
    workspace = core.reader.workspace_by_name(SYSTEM_WORKSPACE)
    return None if workspace is None else core.reader.log_by_name(workspace.key, HEAD_LOG)


class HeadLogCalls:
    """The calls on `/deployment`, and the one that proves a log's head in it."""

    def __init__(self, ranges: Ranges, core: Core) -> None:
        self._ranges = ranges
        self._core = core

    async def checkpoint(self) -> bytes:
        """The newest checkpoint of the log of heads that may be served."""
        return (await self._core.publisher.latest(await self._own())).note

    async def tile(self, path: str) -> bytes:
        """A tile or an entry bundle of its published tree; `path` is what follows `tile/`.

        Raises:
            Problem: `not_found`.
        """
        return await tile_of(self._core, await self._own(), path)

    async def keys(self) -> list[dict[str, object]]:
        """The keys that sign its heads."""
        own = await self._own()
        return describe_keys(await asyncio.to_thread(self._core.keys.keys, own))

    async def proof(self, caller: Caller, log: str, min_size: int = 0) -> HeadProof:
        """Prove that a head of this log, of at least `min_size` events, stands in the log of heads.

        Raises:
            Problem: `not_found`, `forbidden`, `beyond_head`, `log_behind_published_head`, `read_only`,
                `not_witnessed_yet`.
        """
        info = await self._ranges.log(caller, log)
        await self._own()
        return await self._core.headlog.proof(info, min_size)

    async def _own(self) -> LogInfo:
        info = await self._core.headlog.info()
        await self._ranges.open(info)
        return info
