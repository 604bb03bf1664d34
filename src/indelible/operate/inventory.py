"""What there is to examine in a store, read one by one: what cannot be read hides nothing else."""

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from indelible.model.names import AUDIT_LOG, parse_uuid
from indelible.model.types import NO_AUTH_WRITER, ROOT_WRITER, SERVER_WRITER, LogInfo
from indelible.operate.accounts import Account, id_of
from indelible.operate.differences import UNREADABLE, Difference, at
from indelible.operate.rows import WorkspaceRows
from indelible.operate.sites import Site
from indelible.service.workspaces import SYSTEM_WORKSPACE
from indelible.store.base import HeadRow, ViewRow, WorkspaceRow
from indelible.store.paging import log_pages


@dataclass(slots=True)
class Workspace:
    """What one workspace's walk knows."""

    row: WorkspaceRow | None
    infos: list[LogInfo]
    account: Account = field(default_factory=Account)
    rows: WorkspaceRows | None = None
    writers: frozenset[bytes] | None = None  # None where keys cannot be read

    @property
    def name(self) -> str | None:
        """Its name, where its row can be read."""
        return None if self.row is None else self.row.name


class Inventory:
    """The logs of a store and its workspaces; `damaged` says which logs' rows cannot be read."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.damaged: list[Difference] = []
        self.logs = self._all_logs()

    def _all_logs(self) -> list[LogInfo]:
        """Every log that can be read, one by one: a damaged row hides no other."""
        found: list[LogInfo] = []
        try:
            last = self._site.reader.last_log()
        except UNREADABLE as error:
            self.damaged.append(at(None, "log", None, f"logs cannot be read: {error}"))
            last = 0
        for key in range(1, last + 1):
            try:
                info = self._site.reader.log_by_key(key)
            except UNREADABLE as error:
                self.damaged.append(at(None, "log", None, f"the row of log number {key} is damaged: {error}"))
            else:
                found += [info] if info is not None else []
        return found

    def head(self, info: LogInfo) -> HeadRow | None:
        """A log's head, None where there is none that can be read."""
        try:
            head = self._site.reader.head(info.key)
        except UNREADABLE:
            return None
        return head if head and tuple(map(type, head)) == (int, int, int, bytes, bytes) else None

    def workspaces(self, wanted: Collection[int] | None) -> Iterator[Workspace]:
        """Each workspace, or each that holds a wanted log (by number), its `_audit` first among its logs."""
        by_key: dict[int, list[LogInfo]] = {}
        for info in sorted(self.logs, key=lambda info: (info.name != AUDIT_LOG, info.name)):
            by_key.setdefault(info.workspace, []).append(info)
        if wanted is None:
            by_key.update({key: [] for key in self._all_workspaces() if key not in by_key})
        for key, infos in sorted(by_key.items()):
            if wanted is None or any(info.key in wanted for info in infos):
                workspace = Workspace(None, infos)
                with self._site.database.snapshot():
                    self._read_rows(workspace, key)
                yield workspace

    def _all_workspaces(self) -> list[int]:
        try:
            return [row.key for row in self._site.reader.workspaces()]
        except UNREADABLE:  # the structure is told of as damaged
            return []

    def _read_rows(self, workspace: Workspace, key: int) -> None:
        reader = self._site.reader
        try:
            workspace.row = row = reader.workspace_by_key(key)
            audit = reader.log_by_name(key, AUDIT_LOG)
            head = None if audit is None else self.head(audit)
            keys = reader.keys(key)
            logs = self._logs_of(workspace, key)
            active = [view for info in logs for view in reader.views(info.key)]
            views = [row for view_id in {view.view_id for view in active} for row in reader.versions(view_id)]
            ids = [parse_uuid(key.key_id) for key in keys]  # None: damaged, and no writer's
            writers = {key_id.bytes for key_id in ids if key_id is not None}
        except UNREADABLE:
            return
        fixed = {NO_AUTH_WRITER.bytes, ROOT_WRITER.bytes}
        if row is not None and row.name == SYSTEM_WORKSPACE:
            fixed.add(SERVER_WRITER.bytes)
        workspace.writers = frozenset({*fixed, *writers})
        if row is not None and head is not None:
            workspace.rows = WorkspaceRows(row, head, logs, keys, views)

    def _logs_of(self, workspace: Workspace, key: int) -> list[LogInfo]:
        """The workspace's logs as they are now, or as they were read one by one where a row is damaged."""
        try:
            return [info for page in log_pages(self._site.reader, key) for info in page]
        except UNREADABLE:
            return workspace.infos

    def retired(self, workspace: Workspace) -> Iterator[ViewRow]:
        """Versions of views of which none is in use any more, which are found by what `_audit` says."""
        known = {id_of(row.view_id) for row in workspace.rows.views} if workspace.rows else set()
        for view_id in workspace.account.views.keys() - known:
            yield from self._site.reader.versions(uuid.UUID(view_id).bytes)
