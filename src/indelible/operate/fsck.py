"""Recomputing a whole store: every difference, by log and sequence, beside a running server or without one.

Workspace by workspace, `_audit` first: what it says of logs, keys and views is held against the rows. Each
log is walked once. Only what stood when its walk began is compared, so a server may go on appending.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from indelible.log.chunk import Chunk
from indelible.log.keyring import Keyring
from indelible.log.recompute import Finding, Watched
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.instants import format_micros
from indelible.model.limits import Limits
from indelible.model.names import AUDIT_LOG
from indelible.model.types import LogInfo
from indelible.operate import objectcheck
from indelible.operate.accounts import Account, id_of
from indelible.operate.differences import UNREADABLE, Count, Difference, at
from indelible.operate.inventory import Inventory, Workspace
from indelible.operate.rows import Unlike, compare
from indelible.operate.sites import Progress, Site
from indelible.store.base import StoreError, StoreRefused, ViewRow

FUTURE_MICROS = 5_000_000
UNKNOWN_WRITERS = 10_000  # remembered, to name each once


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
        self._inventory = Inventory(site)
        missing = self._wanted - {
            name for info in self._inventory.logs for name in (info.name, str(info.log_id))
        }
        if missing:
            raise StoreRefused(f"no log here has the name or id {', '.join(sorted(missing))}")
        self._total = sum(self._size(info) for info in self._inventory.logs if self._is_wanted(info))
        self.count = Count()

    # ------------------------------------------------------------------ what to examine

    def _is_wanted(self, info: LogInfo) -> bool:
        return not self._wanted or bool(self._wanted & {info.name, str(info.log_id)})

    def _size(self, info: LogInfo) -> int:
        head = self._inventory.head(info)
        return head.size if head else 0

    # ------------------------------------------------------------------ the examination

    def differences(self) -> Iterator[Difference]:
        """Examine; gives what differs, of each log no more than the limit, and counts all."""
        if self._keys is None:
            unchecked = f"signatures are not checked: {self._no_keys}"
            yield from self._counted([Difference("secret", None, None, None, None, unchecked)])
        if not self._wanted:
            yield from self._counted(self._of_deployment())
        wanted = (
            {info.key for info in self._inventory.logs if self._is_wanted(info)} if self._wanted else None
        )
        for workspace in self._inventory.workspaces(wanted):
            for info in workspace.infos:
                if self._is_wanted(info) or info.name == AUDIT_LOG:
                    found = self._log(workspace, info)
                    yield from self._counted(found if self._is_wanted(info) else _nothing_of(found))
            yield from self._counted(self._rows(workspace))

    def _counted(self, found: Iterable[Difference]) -> Iterator[Difference]:
        for place, difference in enumerate(_guarded(found)):
            self.count.differences += 1
            if place < self._limits.fsck_differences_per_log:
                self.count.listed += 1
                yield difference

    def _of_deployment(self) -> Iterator[Difference]:
        yield from self._inventory.damaged
        for found in self._site.database.flaws(self._limits.fsck_differences_per_log):
            yield Difference("database", None, None, None, None, found)
        objects, is_known = self._site.objects, self._site.reader.log_by_id
        for broken in (*objectcheck.unknown_checkpoints(objects, is_known), *objectcheck.components(objects)):
            yield Difference(broken.kind, None, None, None, None, broken.found)

    # ------------------------------------------------------------------ one log

    def _log(self, workspace: Workspace, info: LogInfo) -> Iterator[Difference]:
        is_audit = info.name == AUDIT_LOG
        watched: list[Watched] = []
        for each in self._bound(info):  # before the head, which is then no older
            if isinstance(each, Watched):
                watched.append(each)
            else:
                yield at(info, each.kind, None, each.found, workspace.name)
        head = self._inventory.head(info)
        if head is None:
            workspace.account.whole = workspace.account.whole and not is_audit
            yield at(info, "head", 0, "it has no stored head that can be read", workspace.name)
            return
        inspect = partial(_inspect, workspace, workspace.account if is_audit else None, set())
        tell = partial(self._tell, self.count.events)
        for finding in self._site.recomputed(info, head, tell, watched=watched, inspect=inspect):
            if is_audit and finding.kind in {"chunk", "gap"}:
                workspace.account.whole = False
            yield _of(finding, workspace.name)
        if head.time_floor > max(head.time, SYSTEM_CLOCK.wall_micros() + FUTURE_MICROS):
            found = f"no event may be dated before {format_micros(head.time_floor)}, which is in the future"
            yield at(info, "head", head.size, found, workspace.name)
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
            views = self._views(info)
        except UNREADABLE as error:
            yield objectcheck.Broken("view", f"its views cannot be read: {error}")
            return
        for row in views:
            yield from objectcheck.of_view(objects, info, row)

    def _views(self, info: LogInfo) -> list[ViewRow]:
        """All versions of the views that are in use: each of them may be asked."""
        in_use = {row.view_id for row in self._site.reader.views(info.key)}
        return [row for row in self._site.reader.view_versions(info.key) if row.view_id in in_use]

    # ------------------------------------------------------------------ rows

    def _rows(self, workspace: Workspace) -> Iterator[Difference]:
        if workspace.row is None:
            if not self._wanted:
                found = f"logs {', '.join(info.name for info in workspace.infos)} are of no workspace"
                yield Difference("workspace", None, None, None, None, found)
            return
        if workspace.rows is None or not workspace.account.workspaces:
            found = f"it has no {AUDIT_LOG} that can be read, so its keys, logs and views are not compared"
            yield Difference("workspace", workspace.name, None, None, None, found)
            return
        rows = workspace.rows._replace(views=[*workspace.rows.views, *self._inventory.retired(workspace)])
        for unlike in compare(rows, workspace.account, self._site.deployment, self._keys):
            if self._wanted and (unlike.log is None or not self._is_wanted(unlike.log)):
                continue
            yield _row(unlike, workspace.name)


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


def _of(finding: Finding, workspace: str | None) -> Difference:
    return at(finding.log, finding.kind, finding.sequence, finding.found, workspace)


def _row(unlike: Unlike, workspace: str | None) -> Difference:
    return at(unlike.log, unlike.kind, unlike.sequence, unlike.found, workspace)


def _inspect(
    workspace: Workspace,
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
        yield at(None, "database", None, f"rows are damaged, or of another kind than was written: {error}")


def _nothing_of(found: Iterator[Difference]) -> Iterator[Difference]:
    """Walk a log for what it says alone."""
    for _ in found:
        pass
    yield from ()
