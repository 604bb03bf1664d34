"""Deployments: a view's versions, and taking a new one into use when it has caught up."""

import asyncio
import uuid
from collections.abc import Sequence

import structlog

from indelible.fold.types import World
from indelible.log.core import Core
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.names import check_name
from indelible.model.types import LogInfo
from indelible.notes import report
from indelible.service.access import Access
from indelible.service.audit import Subject, audit_event
from indelible.service.auditing import Auditing
from indelible.service.components import Components
from indelible.service.types import Builtin, Caller, Source, ViewInfo
from indelible.store.base import StoreError, Transaction, ViewRow
from indelible.views.residence import Residence
from indelible.views.snapshots import config_sha256
from indelible.views.types import Deployment, Follow


def view_id_of(row: ViewRow) -> str:
    """The view's id as it is spoken of outside the store."""
    return str(uuid.UUID(bytes=row.view_id))


def deployment_of(row: ViewRow, info: LogInfo) -> Deployment:
    """What a follower needs of a stored version."""
    return Deployment(
        view_id=view_id_of(row),
        log=row.log,
        workspace=info.workspace,
        name=row.name,
        version=row.version,
        component_sha256=row.component_sha256,
        config=row.config,
        facts=init_facts(info),
    )


def init_facts(info: LogInfo) -> tuple[tuple[str, str], ...]:
    """What a view is told of its log."""
    return report.init_facts(str(info.log_id), info.name, info.origin)


class Deployments:
    """The calls on `/logs/{log}/views`, but for the question itself."""

    def __init__(
        self, access: Access, core: Core, auditing: Auditing, components: Components, residence: Residence
    ) -> None:
        self._access = access
        self._core = core
        self._auditing = auditing
        self._components = components
        self._residence = residence
        self._swaps: set[asyncio.Task[None]] = set()
        self._tidying: set[asyncio.Task[None]] = set()
        self._settled = 0  # how often what is followed was changed here

    def resume(self) -> None:
        """Follow all that is deployed, as after a start."""
        for row, info in self._deployed():
            self._residence.add(deployment_of(row, info))
            if row.state == "pending":
                self._swap_later(row, info)

    async def follow_others(self) -> None:
        """Follow what other processes deployed, and no longer what they retired.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        deployed: list[tuple[ViewRow, LogInfo]] = []
        settled = -1
        while settled != self._settled:  # else what was just changed here would be undone
            settled = self._settled
            deployed = await asyncio.to_thread(self._deployed)
        before = self._residence.versions()
        for row, info in deployed:
            if (view_id_of(row), row.version) not in before:
                self._residence.add(deployment_of(row, info))
                if row.state == "pending":  # whoever deployed it may not live to see it caught up
                    self._swap_later(row, info)
        views = {view_id_of(row) for row, _ in deployed}
        for view_id, version in before - {(view_id_of(row), row.version) for row, _ in deployed}:
            if view_id in views:
                self._residence.remove(view_id, version, forget_snapshots=False)
            else:  # deleted elsewhere; what this node stores of it since goes as well
                self._residence.forget(view_id)

    def _settle(self, info: LogInfo, raw_id: bytes) -> None:
        """Follow the versions of a view that the store shows in use now, and no others.

        By what it shows and not by what the caller changed: whichever of two changes ends first, the last
        one holds.
        """
        self._settled += 1
        in_use = [row for row in self._core.reader.views(info.key) if row.view_id == raw_id]
        for row in in_use:
            self._residence.add(deployment_of(row, info))
        view_id, kept = str(uuid.UUID(bytes=raw_id)), {row.version for row in in_use}
        for view, version in self._residence.versions():
            if view == view_id and version not in kept:
                self._residence.remove(view, version, forget_snapshots=False)
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._tidy, raw_id))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    def _tidy(self, raw_id: bytes) -> None:
        """Remove the snapshots of versions that were retired long ago. By the store's word of now.

        A version that another node takes back in this very moment is replayed, not lost.
        """
        view_id = str(uuid.UUID(bytes=raw_id))
        try:
            retired = [row.version for row in self._core.reader.versions(raw_id) if row.state == "retired"]
            old = sorted(retired, reverse=True)[self._core.limits.retired_versions_kept :]
            if old:
                self._residence.forget_snapshots(view_id, old)
        except Exception as error:  # noqa: BLE001 - whatever store and bucket raise: the next change tries again
            structlog.get_logger().warning("old_snapshots_not_removed", view=view_id, reason=str(error))

    def _deployed(self) -> list[tuple[ViewRow, LogInfo]]:
        reader = self._core.reader
        found = [(row, reader.log_by_key(row.log)) for row in reader.views()]
        return [(row, info) for row, info in found if info is not None]

    async def put_component(self, caller: Caller, sha256: str, body: bytes) -> bool:
        """Store a component for later deployments; False when it was there.

        Raises:
            Problem: `forbidden`, `too_large`, `invalid_parameter`.
        """
        self._access.need(caller, "deploy")
        return await self._components.put(sha256, body)

    async def deploy(self, caller: Caller, log: str, name: str, source: Source) -> tuple[ViewInfo, bool]:
        """Deploy a view or a new version of it; False when the newest version is the same already.

        A new version answers once it has caught up; until then the old one does.

        Raises:
            Problem: `not_found`, `forbidden`, `invalid_name`, `not_a_view`, `too_large`, `limit_reached`.
        """
        info = self._access.log(caller, log, "deploy")
        check_name(name, "view")
        self._access.check_view(caller, name)
        compiled, config = await self._components.take(source, init_facts(info))
        candidate = ViewRow(
            view_id=self._core.randomness(16),
            log=info.key,
            name=name,
            version=1,
            component_sha256=compiled.sha256,
            config=config,
            world=compiled.world.value,
            builtin=source.name if isinstance(source, Builtin) else None,
            state="active",
            created=0,
            author=caller.writer,
        )
        row: ViewRow | None = await self._core.committer.change(
            Change(lambda transaction, now: self._store(transaction, now, info, candidate))
        )
        if row is None:
            return await self.get(caller, log, name), False
        try:
            # How it stands before it is followed: the log may be a short one, and folded in no time.
            return await self.get(caller, log, name), True
        finally:
            self._settle(info, row.view_id)
            if row.state == "pending":
                self._swap_later(row, info)

    def _store(
        self, transaction: Transaction, now: int, info: LogInfo, candidate: ViewRow
    ) -> tuple[ViewRow | None, Sequence[AuditEvent]]:
        deployed = self._core.reader.views(info.key)
        versions = [row for row in deployed if row.name == candidate.name]
        if versions and _same(versions[-1], candidate):
            return None, ()
        if not versions and len({row.name for row in deployed}) >= self._core.limits.views_per_log:
            limit = self._core.limits.views_per_log
            raise Problem("limit_reached", f"a log holds at most {limit} views", limit=limit)
        row = candidate._replace(created=now)
        retired = [old for old in versions if old.state == "pending"]
        if versions:
            view_id, newest = versions[-1].view_id, self._newest_version(versions[-1])
            row = row._replace(view_id=view_id, version=newest + 1, state="pending")
        for old in retired:
            transaction.set_view_state(old.view_id, old.version, "retired")
        transaction.add_view(row)
        facts = {
            "log": str(info.log_id),
            "version": row.version,
            "component_sha256": row.component_sha256,
            "config_sha256": config_sha256(row.config),
            "builtin": row.builtin,
        }
        return row, [self._audit(info, row, "view.deployed", row.author, facts)]

    def _newest_version(self, row: ViewRow) -> int:
        return max(old.version for old in self._core.reader.versions(row.view_id))

    def _audit(
        self, info: LogInfo, row: ViewRow, kind: str, writer: bytes, facts: dict[str, object]
    ) -> AuditEvent:
        subject = Subject("view", view_id_of(row), row.name)
        return audit_event(self._auditing.log_of(info.workspace), writer, kind, subject, facts)

    def _swap_later(self, row: ViewRow, info: LogInfo) -> None:
        task = asyncio.get_running_loop().create_task(self._swap(row, info))
        self._swaps.add(task)
        task.add_done_callback(self._swaps.discard)

    async def _swap(self, row: ViewRow, info: LogInfo) -> None:
        """Put a new version in the place of the old one once it has folded what the old one has."""
        view_id = view_id_of(row)
        try:
            follow = await self._residence.caught_up(view_id, row.version)
        except Problem:  # it was deleted, or the server stops; a start resumes what is pending
            return
        if follow.state == "failed":
            return  # the old version goes on; the status shows why the new one does not

        def apply(transaction: Transaction, _now: int) -> tuple[bool, Sequence[AuditEvent]]:
            versions = {old.version: old for old in self._core.reader.versions(row.view_id)}
            if versions[row.version].state != "pending":  # deleted or overtaken meanwhile
                return False, ()
            for old in versions.values():
                if old.state != "active":
                    continue
                transaction.set_view_state(old.view_id, old.version, "retired")
            transaction.set_view_state(row.view_id, row.version, "active")
            facts: dict[str, object] = {"log": str(info.log_id), "version": row.version}
            return True, [self._audit(info, row, "view.activated", row.author, facts)]

        try:
            if await self._core.committer.change(Change(apply)):
                self._settle(info, row.view_id)
        except (Problem, StoreError) as error:
            structlog.get_logger().warning("a view's new version waits", view=row.name, reason=str(error))

    def versions(self, caller: Caller, info: LogInfo, name: str) -> list[ViewRow]:
        """The active and the pending version, in this order; at least one.

        Raises:
            Problem: `not_found`.
        """
        self._access.check_view(caller, name)
        rows = [row for row in self._core.reader.views(info.key) if row.name == name]
        if not rows:
            raise Problem("not_found", "there is no such view on this log, or the key may not see it")
        return sorted(rows, key=_active_first)

    async def list(self, caller: Caller, log: str) -> list[ViewInfo]:
        """The views of a log that the caller may see, by name."""
        info = self._see(caller, log)
        rows = self._core.reader.views(info.key)
        names = sorted({row.name for row in rows if caller.views is None or row.name in caller.views})
        return [self._info(info, [row for row in rows if row.name == name]) for name in names]

    async def get(self, caller: Caller, log: str, name: str) -> ViewInfo:
        """One view.

        Raises:
            Problem: `not_found`, `forbidden`.
        """
        info = self._see(caller, log)
        return self._info(info, self.versions(caller, info, name))

    async def delete(self, caller: Caller, log: str, name: str) -> None:
        """Delete a view with all its snapshots. The log stays as it is, and says so in `_audit`.

        Raises:
            Problem: `not_found`, `forbidden`.
        """
        info = self._access.log(caller, log, "deploy")

        def apply(transaction: Transaction, _now: int) -> tuple[list[ViewRow], Sequence[AuditEvent]]:
            versions = self.versions(caller, info, name)
            for row in versions:
                transaction.set_view_state(row.view_id, row.version, "retired")
            facts: dict[str, object] = {"log": str(info.log_id), "version": versions[-1].version}
            return versions, [self._audit(info, versions[-1], "view.deleted", caller.writer, facts)]

        versions: list[ViewRow] = await self._core.committer.change(Change(apply))
        self._settled += 1
        self._residence.forget(view_id_of(versions[0]))

    def _see(self, caller: Caller, log: str) -> LogInfo:
        scope = next((s for s in ("query", "deploy", "read") if s in caller.scopes), "query")
        return self._access.log(caller, log, scope)

    def _info(self, info: LogInfo, rows: Sequence[ViewRow]) -> ViewInfo:
        rows = sorted(rows, key=_active_first)
        row, pending = rows[0], rows[1] if len(rows) > 1 else None
        view_id = view_id_of(row)
        follow = self._residence.status(view_id, row.version)
        return ViewInfo(
            view_id=view_id,
            name=row.name,
            version=row.version,
            sha256=row.component_sha256,
            config_sha256=config_sha256(row.config),
            world=World(row.world).value,
            builtin=row.builtin,
            state=follow.state,
            applied=follow.applied,
            head=self._core.heads.fresh(info.key).size,
            error=_error(follow),
            pending=None if pending is None else self._pending(view_id, pending),
            memory_bytes=follow.memory_bytes,
            created=row.created,
        )

    def _pending(self, view_id: str, row: ViewRow) -> dict[str, object]:
        follow = self._residence.status(view_id, row.version)
        return {
            "version": row.version,
            "sha256": row.component_sha256,
            "state": follow.state,
            "applied": follow.applied,
            "error": _error(follow),
        }


def _same(row: ViewRow, candidate: ViewRow) -> bool:
    return (row.component_sha256, row.config) == (candidate.component_sha256, candidate.config)


def _active_first(row: ViewRow) -> tuple[bool, int]:
    return row.state != "active", row.version


def _error(follow: Follow) -> dict[str, object] | None:
    if follow.error is None:
        return None
    return {"sequence": follow.error.sequence, "reason": follow.error.reason}
