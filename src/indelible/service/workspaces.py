"""Workspaces: isolated accounts. Root makes them, and reads no events of theirs."""

import asyncio
import uuid
from collections.abc import Sequence

from indelible.log.core import Core
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.names import AUDIT_LOG, check_name
from indelible.model.types import LogInfo
from indelible.service import secrets
from indelible.service.audit import Subject, audit_event
from indelible.service.keys import key_created, key_info
from indelible.service.logs import LogMaker
from indelible.service.types import SCOPES, Caller, KeyInfo, WorkspaceInfo
from indelible.store.base import KeyRow, Transaction, WorkspaceRow

DEFAULT_WORKSPACE = "default"
SYSTEM_WORKSPACE = "_deployment"
"""Holds the log of heads. No key is in it, and no call lists it."""


class WorkspaceMaker:
    """Makes a workspace inside a transaction: its row, its `_audit` log, and the first words in it."""

    def __init__(self, maker: LogMaker) -> None:
        self._maker = maker

    def audit_log(self) -> LogInfo:
        """The audit log of a workspace that is not there yet, with its key: may take seconds, on a thread.

        Raises:
            Problem: `signer_failed`.
        """
        info = self._maker.new(0, AUDIT_LOG, 0)
        self._maker.prepare(info)
        return info

    def make(
        self,
        transaction: Transaction,
        now: int,
        workspace_id: uuid.UUID,
        name: str,
        writer: bytes,
        audit: LogInfo,
    ) -> tuple[int, int, list[AuditEvent]]:
        """Make it with the log that `audit_log` gave; return its number, its log's number, and what to log.

        Raises:
            KeyError: the name is taken.
        """
        key = transaction.add_workspace(workspace_id.bytes, name, now)
        info = self._maker.add(transaction, audit._replace(workspace=key, created=now))
        audit_log = info.key
        subject = Subject("workspace", str(workspace_id), name)
        events = [audit_event(audit_log, writer, "workspace.created", subject)]
        return key, audit_log, events + self._maker.audits(info, audit_log, writer)


class Workspaces:
    """The calls on `/workspaces`; both are root's."""

    def __init__(self, core: Core, maker: WorkspaceMaker) -> None:
        self._core = core
        self._maker = maker

    async def create(self, caller: Caller, name: str) -> tuple[WorkspaceInfo, KeyInfo, str]:
        """Create a workspace with a first key that may do everything in it; its secret is shown this once.

        Raises:
            Problem: `forbidden`, `invalid_name`, `name_taken`, `limit_reached`, `signer_failed`.
        """
        self._need_root(caller)
        check_name(name)
        secret = secrets.make(self._core.randomness)
        workspace_id = uuid.UUID(bytes=self._core.randomness(16), version=4)
        audit = await asyncio.to_thread(self._maker.audit_log)

        def apply(transaction: Transaction, now: int) -> tuple[KeyRow, Sequence[AuditEvent]]:
            if self._core.reader.workspace_count() >= self._core.limits.workspaces:
                limit = self._core.limits.workspaces
                raise Problem("limit_reached", f"a deployment holds at most {limit} workspaces", limit=limit)
            try:
                made = self._maker.make(transaction, now, workspace_id, name, caller.writer, audit)
            except KeyError:
                raise Problem("name_taken", "a workspace has this name") from None
            workspace, audit_log, events = made
            row = KeyRow(
                key_id=str(secret.key_id),
                workspace=workspace,
                secret_hash=secret.digest,
                label="first key",
                scopes=SCOPES,
                logs=None,
                views=None,
                not_before=None,
                expires=None,
                created=now,
                revoked=None,
                preset=None,
            )
            transaction.add_key(row)
            return row, [*events, key_created(audit_log, caller.writer, row)]

        row: KeyRow = await self._core.committer.change(Change(apply))
        made = self._core.reader.workspace_by_key(row.workspace)
        if made is None:
            raise LookupError(f"no workspace {row.workspace}")
        return self._info(made), key_info(row, name), secret.text

    async def list(self, caller: Caller) -> list[WorkspaceInfo]:
        """All workspaces, oldest first."""
        self._need_root(caller)
        return [self._info(row) for row in self._core.reader.workspaces() if row.name != SYSTEM_WORKSPACE]

    def _need_root(self, caller: Caller) -> None:
        if not caller.is_root:
            raise Problem("forbidden", "only the root key makes and lists workspaces")

    def _info(self, row: WorkspaceRow) -> WorkspaceInfo:
        audit = self._core.reader.log_by_name(row.key, AUDIT_LOG)
        if audit is None:
            raise LookupError(f"workspace {row.key} has no {AUDIT_LOG}")
        return WorkspaceInfo(uuid.UUID(bytes=row.workspace_id), row.name, row.created, audit.log_id)
