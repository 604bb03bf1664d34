"""Rotating the key of a log: the next one is made, and the old one says so."""

import asyncio
from collections.abc import Sequence

import structlog

from indelible.log.core import Core
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.types import LogInfo
from indelible.notes.strict import NoteError
from indelible.service.access import Access
from indelible.service.audit import Subject, audit_event
from indelible.service.auditing import Auditing
from indelible.service.proofs import describe_keys
from indelible.service.types import Caller
from indelible.store.base import LogKeyRow, Transaction


class Rotation:
    """The call that gives a log its next signing key."""

    def __init__(self, access: Access, core: Core, auditing: Auditing) -> None:
        self._access = access
        self._core = core
        self._auditing = auditing

    async def rotate(self, caller: Caller, log: str) -> dict[str, object]:
        """Let the next key follow, from the size after the published head on; return it as `keys` shows it.

        The statement is signed by both keys, stored with what `_audit` says of it in one transaction, and
        then beside the log's checkpoint, before the new key signs any head.

        Raises:
            Problem: `not_found`, `forbidden`, `limit_reached`, `signer_failed`, `read_only`,
                `log_behind_published_head`.
        """
        info = self._access.log(caller, log, "admin")
        await asyncio.to_thread(self._core.gate.open, info)
        return await self._core.publisher.alone(info, lambda: self._rotate(caller, info))

    async def _rotate(self, caller: Caller, info: LogInfo) -> dict[str, object]:
        core = self._core
        if len(core.keys.keys(info).rows) >= core.limits.keys_per_log:
            limit = core.limits.keys_per_log
            raise Problem("limit_reached", f"a log has at most {limit} signing keys", limit=limit)
        published = await core.publisher.now(info)
        row = await asyncio.to_thread(self._next, info, published.size + 1)
        await core.committer.change(Change(lambda txn, now: self._store(txn, now, caller, info, row)))
        keys = core.keys.keys(info)
        try:
            await asyncio.to_thread(core.keys.publish_statements, info, keys, core.objects)
        except OSError:  # the rotation stands, and nothing is signed with the new key until this was done
            structlog.get_logger().exception("a key statement could not be stored yet")
        return describe_keys(keys)[-1]

    def _next(self, info: LogInfo, valid_from_size: int) -> LogKeyRow:
        keys = self._core.keys
        try:
            return keys.next_row(info, keys.keys(info), valid_from_size)
        except NoteError as error:
            raise Problem("signer_failed", f"no key can follow: {error}") from None

    def _store(
        self, transaction: Transaction, now: int, caller: Caller, info: LogInfo, row: LogKeyRow
    ) -> tuple[None, Sequence[AuditEvent]]:
        keys = self._core.keys.keys(info)
        if not self._core.reader.log_keys(info.key):  # made before keys were stored
            transaction.add_log_key(keys.rows[0])
        transaction.add_log_key(row._replace(created=now))
        facts = {
            "origin": info.origin,
            "old_verifier_key": keys.rows[-1].verifier_key,
            "verifier_key": row.verifier_key,
            "statement": row.statement.decode(),
        }
        subject = Subject("log", str(info.log_id), info.name)
        audit_log = self._auditing.log_of(info.workspace)
        return None, [audit_event(audit_log, caller.writer, "signing_key.rotated", subject, facts)]
