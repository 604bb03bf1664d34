"""The versions that a view has had, and going back to one of them."""

from collections.abc import Iterable, Sequence

from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.service.deployments import Deployments
from indelible.service.types import Caller, VersionInfo, VersionsPage, ViewInfo
from indelible.store.base import Transaction, ViewRow
from indelible.views.snapshots import config_sha256


class Versions(Deployments):
    """The calls on `/logs/{log}/views/{name}` about versions."""

    async def history(
        self, caller: Caller, log: str, name: str, *, before: int | None, limit: int
    ) -> VersionsPage:
        """The versions of the view that has the name now, the newest first, those below `before`.

        Raises:
            Problem: `not_found`, `forbidden`.
        """
        info = self._see(caller, log)
        rows = [
            row
            for row in reversed(self._all(self.versions(caller, info, name)))
            if before is None or row.version < before
        ]
        page: list[VersionInfo] = []
        limits, size = self._core.limits, 0
        for row in rows[: min(limit, limits.versions_page)]:
            size += len(row.config)
            if page and size > limits.versions_page_bytes:
                break
            page.append(_version(row))
        return VersionsPage(page, page[-1].version if len(page) < len(rows) else None)

    def _all(self, in_use: Sequence[ViewRow]) -> Sequence[ViewRow]:
        """All versions of a view of which those are in use, the oldest first."""
        return self._core.reader.versions(in_use[0].view_id)

    async def rollback(self, caller: Caller, log: str, name: str, version: int | None) -> ViewInfo:
        """Let another version answer from the next question on: the newest below the active one by default.

        What is catching up to replace the active one no longer is. The active version again changes nothing.

        Raises:
            Problem: `not_found`, `forbidden`.
        """
        info = self._access.log(caller, log, "deploy")

        def apply(transaction: Transaction, _now: int) -> tuple[ViewRow, Sequence[AuditEvent]]:
            in_use = self.versions(caller, info, name)
            active = in_use[0]
            target = _target(self._all(in_use), active.version, version)
            if target.version == active.version:
                return target, ()
            for old in in_use:
                if old.version != target.version:
                    transaction.set_view_state(old.view_id, old.version, "retired")
            transaction.set_view_state(target.view_id, target.version, "active")
            facts: dict[str, object] = {
                "log": str(info.log_id),
                "from": active.version,
                "to": target.version,
            }
            return target, [self._audit(info, target, "view.rolled_back", caller.writer, facts)]

        target: ViewRow = await self._core.committer.change(Change(apply))
        self._settle(info, target.view_id)
        return await self.get(caller, log, name)


def _version(row: ViewRow) -> VersionInfo:
    return VersionInfo(
        version=row.version,
        sha256=row.component_sha256,
        config=row.config,
        config_sha256=config_sha256(row.config),
        world=row.world,
        builtin=row.builtin,
        state=row.state,
        created=row.created,
        author=row.author,
    )


def _target(rows: Sequence[ViewRow], active: int, wanted: int | None) -> ViewRow:
    if wanted is None:
        wanted = max((row.version for row in rows if row.version < active), default=None)
        if wanted is None:
            raise Problem("not_found", f"version {active} is the view's first: there is none to go back to")
    return numbered(rows, wanted)


def numbered(rows: Iterable[ViewRow], wanted: int | str) -> ViewRow:
    """The version of this number, which may be as it was written in a question.

    Raises:
        Problem: `not_found`.
    """
    for row in rows:
        if str(row.version) == str(wanted):
            return row
    raise Problem("not_found", "this view never had such a version", version=str(wanted)[:20])
