"""Recomputing a whole store: every difference, by log and sequence, beside a running server or without one.

Workspace by workspace, `_audit` first: what it says of logs, keys and views is held against the rows. Each
log is walked once. Only what stood when its walk began is compared, so a server may go on appending.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from indelible.log.chunk import Chunk
from indelible.log.keyring import Keyring
from indelible.log.recompute import Finding, Watched
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.instants import format_micros
from indelible.model.limits import Limits
from indelible.model.types import NO_AUTH_WRITER, ROOT_WRITER, LogInfo
from indelible.operate import objectcheck
from indelible.operate.accounts import Account, id_of
from indelible.operate.rows import Unlike, WorkspaceRows, compare
from indelible.operate.sites import PAGE, Progress, Site
from indelible.service.audit import AUDIT_LOG
from indelible.store.base import HeadRow, StoreError, StoreRefused, ViewRow, WorkspaceRow

FUTURE_MICROS = 5_000_000
UNREADABLE = (StoreError, AttributeError, LookupError, TypeError, ValueError)
"""What reading rows raises that the database cannot give, or whose values are of no kind that was written."""
UNKNOWN_WRITERS = 10_000  # remembered, to name each once


class Difference(NamedTuple):
    """One thing that is not as it should be: what, where, and in words.

    `kind` is one of those of `log/recompute.py`, or writer, checkpoint, snapshot, component, workspace, log,
    key, view, database, secret. `sequence` is an event's, of `_audit` where the row of a workspace differs.
    """

    kind: str
    workspace: str | None
    log: str | None
    log_id: str | None
    sequence: int | None
    found: str


@dataclass(slots=True)
class Count:
    """What was examined and how much differs; `listed` is less than `differences` past the limit a log."""

    logs: int = 0
    events: int = 0
    differences: int = 0
    listed: int = 0

    def members(self) -> dict[str, int]:
        """As it is written."""
        return asdict(self)


@dataclass(slots=True)
class _Workspace:
    """What one workspace's walk knows."""

    row: WorkspaceRow | None
    infos: list[LogInfo]
    account: Account = field(default_factory=Account)
    rows: WorkspaceRows | None = None
    writers: frozenset[bytes] | None = None  # None where keys cannot be read

    @property
    def name(self) -> str | None:
        return None if self.row is None else self.row.name


class Fsck:
    """One examination of a data directory. Nothing is changed; `count` grows as differences are taken.

    Args:
        site: the data directory, opened for reading.
        limits: `fsck_differences_per_log` bounds what is listed of each log.
        progress: called as things go on.
        logs: names or ids of logs to examine; all, and what is beside them, where there are none.

    Raises:
        StoreRefused: a log of `logs` is not in the store.
    """

    def __init__(self, site: Site, limits: Limits, progress: Progress, logs: Sequence[str] = ()) -> None:
        self._site = site
        self._limits = limits
        self._progress = progress
        self._wanted = frozenset(logs)
        self._keys, self._no_keys = _keyring(site)
        self._unread: list[Difference] = []
        self._infos = self._all_logs()
        missing = self._wanted - {name for info in self._infos for name in (info.name, str(info.log_id))}
        if missing:
            raise StoreRefused(f"no log here has the name or id {', '.join(sorted(missing))}")
        self._total = sum(self._size(info) for info in self._infos if self._is_wanted(info))
        self.count = Count()

    # ------------------------------------------------------------------ what to examine

    def _all_logs(self) -> list[LogInfo]:
        """Every log that can be read, one by one: a damaged row hides no other."""
        found: list[LogInfo] = []
        try:
            last = self._site.reader.last_log()
        except UNREADABLE as error:
            self._unread.append(_at(None, "log", None, f"logs cannot be read: {error}"))
            last = 0
        for key in range(1, last + 1):
            try:
                info = self._site.reader.log_by_key(key)
            except UNREADABLE as error:
                self._unread.append(
                    _at(None, "log", None, f"the row of log number {key} is damaged: {error}")
                )
            else:
                found += [info] if info is not None else []
        return found

    def _is_wanted(self, info: LogInfo) -> bool:
        return not self._wanted or bool(self._wanted & {info.name, str(info.log_id)})

    def _size(self, info: LogInfo) -> int:
        head = self._head(info)
        return head.size if head else 0

    def _head(self, info: LogInfo) -> HeadRow | None:
        """A log's head, None where there is none that can be read."""
        try:
            head = self._site.reader.head(info.key)
        except UNREADABLE:
            return None
        return head if head and tuple(map(type, head)) == (int, int, int, bytes, bytes) else None

    # ------------------------------------------------------------------ the examination

    def differences(self) -> Iterator[Difference]:
        """Examine; gives what differs, of each log no more than the limit, and counts all."""
        if self._keys is None:
            unchecked = f"signatures are not checked: {self._no_keys}"
            yield from self._counted([Difference("secret", None, None, None, None, unchecked)])
        if not self._wanted:
            yield from self._counted(self._of_deployment())
        for workspace in self._workspaces():
            for info in workspace.infos:
                if self._is_wanted(info) or info.name == AUDIT_LOG:
                    found = self._log(workspace, info)
                    yield from self._counted(found if self._is_wanted(info) else _nothing_of(found))
            yield from self._counted(self._rows(workspace))

    def _counted(self, found: Iterable[Difference]) -> Iterator[Difference]:
        for at, difference in enumerate(_guarded(found)):
            self.count.differences += 1
            if at < self._limits.fsck_differences_per_log:
                self.count.listed += 1
                yield difference

    def _of_deployment(self) -> Iterator[Difference]:
        yield from self._unread
        for found in self._site.flaws(self._limits.fsck_differences_per_log):
            yield Difference("database", None, None, None, None, found)
        objects, is_known = self._site.objects, self._site.reader.log_by_id
        for broken in (*objectcheck.unknown_checkpoints(objects, is_known), *objectcheck.components(objects)):
            yield Difference(broken.kind, None, None, None, None, broken.found)

    def _workspaces(self) -> Iterator[_Workspace]:
        """Each workspace that holds a log to examine, its `_audit` first among its logs."""
        by_key: dict[int, list[LogInfo]] = {}
        for info in sorted(self._infos, key=lambda info: (info.name != AUDIT_LOG, info.name)):
            by_key.setdefault(info.workspace, []).append(info)
        if not self._wanted:
            by_key.update({key: [] for key in self._all_workspaces() if key not in by_key})
        for key, infos in sorted(by_key.items()):
            if not self._wanted or any(map(self._is_wanted, infos)):
                workspace = _Workspace(None, infos)
                with self._site.snapshot():
                    self._read_rows(workspace, key)
                yield workspace

    def _all_workspaces(self) -> list[int]:
        try:
            return [row.key for row in self._site.reader.workspaces()]
        except UNREADABLE:  # the structure is told of as damaged
            return []

    def _read_rows(self, workspace: _Workspace, key: int) -> None:
        reader = self._site.reader
        try:
            workspace.row = row = reader.workspace_by_key(key)
            audit = reader.log_by_name(key, AUDIT_LOG)
            head = None if audit is None else self._head(audit)
            keys = reader.keys(key)
            logs = self._logs_of(workspace, key)
            active = [view for info in logs for view in reader.views(info.key)]
            views = [row for view_id in {view.view_id for view in active} for row in reader.versions(view_id)]
            writers = {uuid.UUID(key.key_id).bytes for key in keys}
        except UNREADABLE:
            return
        workspace.writers = frozenset({NO_AUTH_WRITER.bytes, ROOT_WRITER.bytes, *writers})
        if row is not None and head is not None:
            workspace.rows = WorkspaceRows(row, head, logs, keys, views)

    def _logs_of(self, workspace: _Workspace, key: int) -> list[LogInfo]:
        """The workspace's logs as they are now, or as they were read one by one where a row is damaged."""
        found: list[LogInfo] = []
        try:
            while page := self._site.reader.logs(key, found[-1].name if found else "", PAGE):
                found += page
        except UNREADABLE:
            return workspace.infos
        return found

    # ------------------------------------------------------------------ one log

    def _log(self, workspace: _Workspace, info: LogInfo) -> Iterator[Difference]:
        is_audit = info.name == AUDIT_LOG
        watched: list[Watched] = []
        for each in self._bound(info):  # before the head, which is then no older
            if isinstance(each, Watched):
                watched.append(each)
            else:
                yield _at(info, each.kind, None, each.found, workspace.name)
        head = self._head(info)
        if head is None:
            workspace.account.whole = workspace.account.whole and not is_audit
            yield _at(info, "head", 0, "it has no stored head that can be read", workspace.name)
            return
        inspect = partial(_inspect, workspace, workspace.account if is_audit else None, set())
        tell = partial(self._tell, self.count.events)
        for finding in self._site.recomputed(info, head, tell, watched=watched, inspect=inspect):
            if is_audit and finding.kind in {"chunk", "gap"}:
                workspace.account.whole = False
            yield _of(finding, workspace.name)
        if head.time_floor > max(head.time, SYSTEM_CLOCK.wall_micros() + FUTURE_MICROS):
            found = f"no event may be dated before {format_micros(head.time_floor)}, which is in the future"
            yield _at(info, "head", head.size, found, workspace.name)
        if self._is_wanted(info):
            self.count.logs += 1
            self.count.events += head.size

    def _tell(self, before: int, done: int) -> None:
        self._progress("events", before + done, max(self._total, before + done))

    def _bound(self, info: LogInfo) -> Iterator[Watched | objectcheck.Broken]:
        """What stands outside the database and is bound to this log."""
        objects = self._site.objects
        if self._keys is not None:
            checkpoint = objectcheck.published(objects, self._keys, info)
            yield from (checkpoint,) if checkpoint else ()
        try:
            views = self._site.reader.views(info.key)
        except UNREADABLE as error:
            yield objectcheck.Broken("view", f"its views cannot be read: {error}")
            return
        for row in views:
            yield from objectcheck.of_view(objects, info, row)

    # ------------------------------------------------------------------ rows

    def _rows(self, workspace: _Workspace) -> Iterator[Difference]:
        if workspace.row is None:
            if not self._wanted:
                found = f"logs {', '.join(info.name for info in workspace.infos)} are of no workspace"
                yield Difference("workspace", None, None, None, None, found)
            return
        if workspace.rows is None or not workspace.account.workspaces:
            found = f"it has no {AUDIT_LOG} that can be read, so its keys, logs and views are not compared"
            yield Difference("workspace", workspace.name, None, None, None, found)
            return
        rows = workspace.rows._replace(views=[*workspace.rows.views, *self._retired(workspace)])
        for unlike in compare(rows, workspace.account, self._site.deployment, self._keys):
            if self._wanted and (unlike.log is None or not self._is_wanted(unlike.log)):
                continue
            yield _row(unlike, workspace.name)

    def _retired(self, workspace: _Workspace) -> Iterator[ViewRow]:
        """Versions of views of which none is in use any more, which are found by what `_audit` says."""
        known = {id_of(row.view_id) for row in workspace.rows.views} if workspace.rows else set()
        for view_id in workspace.account.views.keys() - known:
            yield from self._site.reader.versions(uuid.UUID(view_id).bytes)


def fsck(
    data: Path, limits: Limits, progress: Progress, logs: Sequence[str] = ()
) -> tuple[list[Difference], Count]:
    """Examine a data directory at once: for callers who want all that is listed, in memory.

    Raises:
        StoreRefused: there is no store, or not one of the logs.
    """
    with Site(data) as site:
        examination = Fsck(site, limits, progress, logs)
        return list(examination.differences()), examination.count


def _keyring(site: Site) -> tuple[Keyring | None, str]:
    """The logs' keys, or why there are none."""
    try:
        return site.keyring(), ""
    except (StoreError, OSError) as error:
        return None, str(error)


def _at(
    info: LogInfo | None, kind: str, sequence: int | None, found: str, workspace: str | None = None
) -> Difference:
    return Difference(
        kind, workspace, info and info.name, str(info.log_id) if info else None, sequence, found
    )


def _of(finding: Finding, workspace: str | None) -> Difference:
    return _at(finding.log, finding.kind, finding.sequence, finding.found, workspace)


def _row(unlike: Unlike, workspace: str | None) -> Difference:
    return _at(unlike.log, unlike.kind, unlike.sequence, unlike.found, workspace)


def _inspect(
    workspace: _Workspace,
    audit: Account | None,
    unknown: set[bytes],
    chunk: Chunk,
) -> Iterator[tuple[int, str, str]]:
    """What `_audit` says, who wrote, and whether idempotency keys fit their chunk."""
    if audit is not None and workspace.rows is not None:
        audit.take(chunk, workspace.rows.audit.size)
    for writer in chunk.writers:
        if workspace.writers is None or writer in workspace.writers or writer in unknown:
            continue
        if len(unknown) < UNKNOWN_WRITERS:
            unknown.add(writer)
        yield chunk.first, "writer", f"writer {id_of(writer)} is no key of this workspace"
    end = 0
    for use in chunk.keys:
        if use.offset < end:
            yield chunk.first + use.offset, "event", "two idempotency keys claim one event"
        end = use.offset + use.events


def _guarded(found: Iterable[Difference]) -> Iterator[Difference]:
    """What cannot be read ends this part of the examination, as a difference, and not the whole."""
    try:
        yield from found
    except UNREADABLE as error:
        yield _at(None, "database", None, f"rows are damaged, or of another kind than was written: {error}")


def _nothing_of(found: Iterator[Difference]) -> Iterator[Difference]:
    """Walk a log for what it says alone."""
    for _ in found:
        pass
    yield from ()
