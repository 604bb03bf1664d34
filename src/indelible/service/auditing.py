"""Telling `_audit` what does not change state: exports, what auditors read and asked, refusals."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from indelible.log.core import Core
from indelible.log.pending import AuditEvent, Change
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.names import AUDIT_LOG, HEAD_LOG
from indelible.model.types import LogInfo
from indelible.service.audit import Subject, audit_event
from indelible.service.types import Caller
from indelible.store.base import Transaction

REFUSALS_EVERY_SECONDS = 60.0
COUNTED_REFUSALS = 10_000


class Auditing:
    """Writes to the `_audit` log of a caller's workspace, and waits until it is stored."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._logs: dict[int, int] = {}
        self._refusals: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def log_of(self, workspace: int) -> int:
        """The store's number of a workspace's `_audit` log."""
        if workspace not in self._logs:
            info = self._core.reader.log_by_name(workspace, AUDIT_LOG)
            if info is None:
                raise LookupError(f"workspace {workspace} has no {AUDIT_LOG}")
            self._logs[workspace] = info.key
        return self._logs[workspace]

    async def write(
        self, workspace: int, writer: bytes, kind: str, subject: Subject, facts: Mapping[str, object]
    ) -> None:
        """Write one event and wait until it is on stable storage."""
        event = audit_event(self.log_of(workspace), writer, kind, subject, facts)

        def apply(_transaction: Transaction, _now: int) -> tuple[Any, Sequence[AuditEvent]]:
            return None, (event,)

        await self._core.committer.change(Change(apply, decides=False))

    async def exported(
        self, caller: Caller, info: LogInfo, span: Span, from_: str | None, to: str | None
    ) -> None:
        """Events are about to leave as a stream."""
        if self._core.gate.read_only is not None:
            return  # a restored copy can be read, and its own log is not continued
        facts = {"first_sequence": span.first, "last_sequence": span.last, "from": from_, "to": to}
        await self.write(caller.workspace, caller.writer, "events.exported", _log_subject(info), facts)

    async def evidence(
        self,
        caller: Caller,
        info: LogInfo,
        span: Span,
        size: int,
        window: Mapping[str, object] | None,
        report: Mapping[str, object] | None = None,
    ) -> None:
        """An evidence file is about to leave. Said before its first byte: its reader may go at any time.

        `report` says which answer of which view is in it, where one is.
        """
        if self._core.gate.read_only is not None:
            return
        facts = {"first_sequence": span.first, "last_sequence": span.last, "size": size, "window": window}
        if report is not None:
            facts["report"] = report
        await self.write(caller.workspace, caller.writer, "evidence.exported", _log_subject(info), facts)

    async def read(self, caller: Caller, info: LogInfo, after: int | None) -> None:
        """An auditor reads a page of events."""
        if self._core.gate.read_only is not None:
            return
        facts = {"after_sequence": after}
        await self.write(caller.workspace, caller.writer, "events.read", _log_subject(info), facts)

    async def queried(
        self, caller: Caller, info: LogInfo, view: str, query: Sequence[tuple[str, str]]
    ) -> None:
        """An auditor asked a view."""
        if self._core.gate.read_only is not None:
            return
        facts = {"view": view, "query": [list(pair) for pair in query]}
        await self.write(caller.workspace, caller.writer, "view.queried", _log_subject(info), facts)

    async def contradicted(self, system: Caller, info: LogInfo, witness: str, found: str) -> None:
        """A witness has seen another history of a log; that of heads is told to the workspace `default`."""
        structlog.get_logger().critical("a witness contradicts a log", origin=info.origin, found=found)
        workspace = system.workspace if info.name == HEAD_LOG else info.workspace
        facts = {"origin": info.origin, "witness": witness, "found": found}
        try:
            await self.write(workspace, system.writer, "log.contradicted", _log_subject(info), facts)
        except Problem as cannot:  # it is this very _audit, for example
            structlog.get_logger().warning("a contradiction could not be audited", code=cannot.code.name)

    async def refused(self, workspace: int, key_id: str, problem: Problem) -> None:
        """A known key was refused; at most one event a key, code and minute, with a count of the others."""
        if self._core.gate.read_only is not None:
            return
        at, now = (key_id, problem.code.name), time.monotonic()
        since, count = self._refusals.get(at, (-REFUSALS_EVERY_SECONDS, 0))
        if now - since < REFUSALS_EVERY_SECONDS:
            self._refusals[at] = (since, count + 1)
            return
        self._refusals[at] = (now, 0)
        if len(self._refusals) > COUNTED_REFUSALS:
            self._refusals.popitem(last=False)
        facts = {"code": problem.code.name, "refused_before_uncounted": count}
        subject = Subject("key", key_id, "")
        try:
            await self.write(workspace, uuid.UUID(key_id).bytes, "request.refused", subject, facts)
        except Problem as cannot:
            structlog.get_logger().warning("a refusal could not be audited", code=cannot.code.name)


def _log_subject(info: LogInfo) -> Subject:
    return Subject("log", str(info.log_id), info.name)
