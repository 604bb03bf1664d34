"""Logs: create, list, inspect, and say who may see their proofs."""

import asyncio
import uuid
from collections.abc import Sequence

from indelible.log.core import Core
from indelible.log.keyring import first_row
from indelible.log.pending import AuditEvent, Change
from indelible.log.signers import Signers
from indelible.merkle.hashing import EMPTY_ROOT
from indelible.model.clock import Randomness
from indelible.model.errors import Problem
from indelible.model.names import check_name, log_origin
from indelible.model.types import Head, LogInfo
from indelible.service.access import Access
from indelible.service.audit import Subject, audit_event
from indelible.service.auditing import Auditing
from indelible.service.types import Caller, LogState
from indelible.store.base import HeadRow, Transaction

EMPTY_HEAD = HeadRow(size=0, time=0, time_floor=0, root=EMPTY_ROOT, frontier=b"")


class LogMaker:
    """Makes logs inside a transaction: the row, its empty head, and what `_audit` says of it."""

    def __init__(self, deployment: str, signers: Signers, randomness: Randomness) -> None:
        self._deployment = deployment
        self._signers = signers
        self._randomness = randomness

    def new(self, workspace: int, name: str, created: int) -> LogInfo:
        """A log that is not stored yet; its key is 0."""
        log_id = uuid.UUID(bytes=self._randomness(16), version=4)
        return LogInfo(0, log_id, workspace, name, log_origin(self._deployment, log_id), created)

    def prepare(self, info: LogInfo) -> None:
        """Ask for a log's first key, which may take seconds: before its transaction, and on a thread.

        Raises:
            Problem: `signer_failed`.
        """
        self._signers.new(info.origin, 0)

    def add(self, transaction: Transaction, info: LogInfo) -> LogInfo:
        """Store a log that `new` made, and its first key; return it with its number.

        Raises:
            KeyError: the name is taken.
        """
        stored = info._replace(key=transaction.add_log(info, EMPTY_HEAD))
        verifier = self._signers.new(info.origin, 0).verifier
        transaction.add_log_key(first_row(stored.key, self._signers.holder, verifier, info.created))
        return stored

    def audits(self, info: LogInfo, audit_log: int, writer: bytes) -> list[AuditEvent]:
        """That the log was made, and which key signs its heads."""
        subject = Subject("log", str(info.log_id), info.name)
        verifier = self._signers.new(info.origin, 0).verifier
        facts = {"origin": info.origin, "public_proofs": info.public_proofs}
        return [
            audit_event(audit_log, writer, "log.created", subject, facts),
            audit_event(
                audit_log,
                writer,
                "signing_key.declared",
                subject,
                {"origin": info.origin, "verifier_key": str(verifier), "valid_from_size": 0},
            ),
        ]


class Logs:
    """The calls on `/logs`."""

    def __init__(self, access: Access, core: Core, maker: LogMaker, auditing: Auditing) -> None:
        self._access = access
        self._auditing = auditing
        self._reader = core.reader
        self._heads = core.heads
        self._committer = core.committer
        self._gate = core.gate
        self._maker = maker
        self._limits = core.limits

    async def create(
        self, caller: Caller, name: str, *, erasable: bool = False, public_proofs: bool = False
    ) -> LogState:
        """Create a log in the caller's workspace.

        Raises:
            Problem: `forbidden`, `invalid_name`, `invalid_parameter`, `name_taken` (with `log_id`),
                `limit_reached`, `signer_failed`.
        """
        self._access.need(caller, "admin")
        check_name(name)
        if erasable:
            raise Problem("invalid_parameter", "erasable logs are not offered yet; leave erasable out")
        if caller.logs is not None:
            raise Problem("forbidden", "a key that is restricted to logs makes no others")
        wanted = self._maker.new(caller.workspace, name, 0)._replace(public_proofs=public_proofs)
        await asyncio.to_thread(self._maker.prepare, wanted)
        info: LogInfo = await self._committer.change(
            Change(lambda txn, now: self._make(txn, caller, wanted._replace(created=now)))
        )
        self._gate.created(info.key)
        return self._state(info)

    def _make(
        self, transaction: Transaction, caller: Caller, wanted: LogInfo
    ) -> tuple[LogInfo, list[AuditEvent]]:
        taken = self._reader.log_by_name(caller.workspace, wanted.name)
        if taken is not None:
            raise Problem("name_taken", "a log has this name", log_id=str(taken.log_id))
        if self._reader.counts(caller.workspace)[0] >= self._limits.logs_per_workspace:
            limit = self._limits.logs_per_workspace
            raise Problem("limit_reached", f"a workspace holds at most {limit} logs", limit=limit)
        info = self._maker.add(transaction, wanted)
        return info, self._maker.audits(info, self._auditing.log_of(caller.workspace), caller.writer)

    async def set_public_proofs(self, caller: Caller, log: str, *, public: bool) -> LogState:
        """Let all who know a log's id see its checkpoint, tiles and keys without a key, or nobody again.

        It changes who may look, and no event. Saying again what is so changes nothing.

        Raises:
            Problem: `not_found`, `forbidden`.
        """
        info = self._access.log(caller, log, "admin")

        def apply(transaction: Transaction, _now: int) -> tuple[LogInfo, Sequence[AuditEvent]]:
            present = self._reader.log_by_key(info.key)
            if present is None or not transaction.set_public_proofs(info.key, public=public):
                raise LookupError(f"no log {info.key}")
            changed = present._replace(public_proofs=public)
            if present.public_proofs == public:
                return changed, ()
            subject = Subject("log", str(info.log_id), info.name)
            audit_log = self._auditing.log_of(info.workspace)
            facts = {"public_proofs": public}
            return changed, [audit_event(audit_log, caller.writer, "log.access_changed", subject, facts)]

        changed: LogInfo = await self._committer.change(Change(apply))
        self._access.forget_log(changed)
        return self._state(changed)

    async def get(self, caller: Caller, log: str) -> LogState:
        """Inspect a log. Any scope but `admin` alone on it suffices to see its head."""
        scope = next(
            (s for s in ("read", "query", "append", "deploy", "admin") if s in caller.scopes), "read"
        )
        info = self._access.log(caller, log, scope)
        self._heads.refresh([info.key])
        return self._state(info)

    async def list(
        self, caller: Caller, *, after: str | None, limit: int
    ) -> tuple[list[LogState], str | None]:
        """The logs that the caller may see, by name; the cursor of the next page, or None."""
        limit = max(1, min(limit, self._limits.logs_page))
        found: list[LogInfo] = []
        name = after or ""
        while len(found) <= limit:
            page = self._reader.logs(caller.workspace, name, limit + 1)
            found += [info for info in page if caller.logs is None or str(info.log_id) in caller.logs]
            if len(page) <= limit:
                break
            name = page[-1].name
        more = found[limit - 1].name if len(found) > limit else None
        self._heads.refresh([info.key for info in found[:limit]])
        return [self._state(info) for info in found[:limit]], more

    def _state(self, info: LogInfo) -> LogState:
        head = self._heads.get(info.key)
        return LogState(info, Head(head.size, head.root, head.time))
