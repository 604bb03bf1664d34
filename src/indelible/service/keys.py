"""API keys: create, list, revoke. A key grants no more than its maker holds."""

import uuid
from collections.abc import Callable, Sequence

from indelible.log.core import Core
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.names import check_name, is_system_name, parse_uuid
from indelible.service import secrets
from indelible.service.access import Access
from indelible.service.audit import Subject, audit_event, names
from indelible.service.auditing import Auditing
from indelible.service.parameters import instant
from indelible.service.types import PRESETS, SCOPES, Caller, KeyInfo
from indelible.store.base import KeyRow, Transaction

Apply = Callable[[Transaction, int], tuple[KeyRow, Sequence[AuditEvent]]]

MAX_LABEL = 200
MAX_RESTRICTIONS = 1_000


class Keys:
    """The calls on `/keys`. All need `admin`; root may name another workspace."""

    def __init__(self, access: Access, core: Core, auditing: Auditing) -> None:
        self._access = access
        self._core = core
        self._auditing = auditing

    async def create(
        self,
        caller: Caller,
        *,
        label: str = "",
        scopes: Sequence[str] | None = None,
        logs: Sequence[str] | None = None,
        views: Sequence[str] | None = None,
        not_before: str | None = None,
        expires: str | None = None,
        preset: str | None = None,
        workspace: str | None = None,
    ) -> tuple[KeyInfo, str]:
        """Create a key and return it with its secret, which is shown this once.

        Raises:
            Problem: `forbidden`, `invalid_parameter`, `not_found`, `limit_reached`.
        """
        self._access.need(caller, "admin")
        if len(label) > MAX_LABEL or not label.isprintable():
            raise Problem(
                "invalid_parameter", f"label takes {MAX_LABEL} printable characters", limit=MAX_LABEL
            )
        target = self._workspace(caller, workspace)
        granted = _scopes(scopes, preset)
        self._check_grant(caller, granted, views)
        until = self._until(caller, instant("expires", expires))
        secret = secrets.make(self._core.randomness)
        row = KeyRow(
            key_id=str(secret.key_id),
            workspace=target,
            secret_hash=secret.digest,
            label=label,
            scopes=granted,
            logs=self._logs(caller, target, logs),
            views=_views(caller, views),
            not_before=instant("not_before", not_before),
            expires=until,
            created=0,
            revoked=None,
            preset=preset,
        )
        stored: KeyRow = await self._core.committer.change(Change(self._adder(caller, row)))
        return self._info(stored), secret.text

    def _adder(self, caller: Caller, row: KeyRow) -> Apply:
        def apply(transaction: Transaction, now: int) -> tuple[KeyRow, Sequence[AuditEvent]]:
            if self._core.reader.counts(row.workspace)[1] >= self._core.limits.keys_per_workspace:
                limit = self._core.limits.keys_per_workspace
                raise Problem("limit_reached", f"a workspace holds at most {limit} keys", limit=limit)
            stored = row._replace(created=now)
            transaction.add_key(stored)
            return stored, [key_created(self._auditing.log_of(row.workspace), caller.writer, stored)]

        return apply

    async def list(self, caller: Caller) -> list[KeyInfo]:
        """The keys of the caller's workspace, revoked ones included, without secrets."""
        self._access.need(caller, "admin")
        name = self._name(caller.workspace)
        return [key_info(row, name) for row in self._core.reader.keys(caller.workspace)]

    async def revoke(self, caller: Caller, key_id: str) -> KeyInfo:
        """Revoke a key: it fails from the next request on. Revoking it again changes nothing.

        Raises:
            Problem: `forbidden`, `not_found`.
        """
        self._access.need(caller, "admin")
        parsed = parse_uuid(key_id)
        row = self._core.reader.key(str(parsed)) if parsed else None
        if row is None or (row.workspace != caller.workspace and not caller.is_root):
            raise Problem("not_found", "there is no such key in this workspace")
        found = row
        if caller.logs is not None:
            raise Problem("forbidden", "a key that is restricted to logs manages no keys")

        def apply(transaction: Transaction, now: int) -> tuple[None, Sequence[AuditEvent]]:
            if not transaction.revoke_key(found.key_id, now):
                return None, ()
            subject = Subject("key", found.key_id, found.label)
            audit_log = self._auditing.log_of(found.workspace)
            return None, [audit_event(audit_log, caller.writer, "key.revoked", subject)]

        await self._core.committer.change(Change(apply))
        self._access.forget_key(found.key_id)
        revoked = self._core.reader.key(found.key_id)
        return self._info(revoked or found)

    def _workspace(self, caller: Caller, name: str | None) -> int:
        if name is None:
            return caller.workspace
        reader, parsed = self._core.reader, parse_uuid(name)
        row = reader.workspace_by_name(name) if parsed is None else reader.workspace_by_id(parsed.bytes)
        if row is None or is_system_name(row.name) or not (caller.is_root or row.key == caller.workspace):
            raise Problem("not_found", "there is no such workspace, or the key may not see it")
        return row.key

    def _check_grant(self, caller: Caller, granted: Sequence[str], views: Sequence[str] | None) -> None:
        beyond = [scope for scope in granted if scope not in caller.scopes]
        if beyond:
            raise Problem("forbidden", f"your key does not hold {', '.join(beyond)}, so it cannot grant it")
        if caller.views is not None and (views is None or not caller.views.issuperset(views)):
            raise Problem("forbidden", "your key is restricted to views; grant no others")

    def _until(self, caller: Caller, expires: int | None) -> int | None:
        """When a new key expires: not after its maker's, or a key that ends could make itself endless."""
        maker = None if caller.is_root else self._core.reader.key(caller.key_id)
        latest = None if maker is None else maker.expires
        if latest is None or (expires is not None and expires <= latest):
            return expires
        if expires is not None:
            raise Problem("forbidden", f"your key expires at {format_micros(latest)}; grant no longer time")
        return latest

    def _logs(self, caller: Caller, workspace: int, logs: Sequence[str] | None) -> tuple[str, ...] | None:
        """Restrictions are stored as log ids, so that a name made later grants nothing."""
        if logs is None:
            if caller.logs is not None:
                raise Problem("forbidden", "your key is restricted to logs; grant no others")
            return None
        if len(logs) > MAX_RESTRICTIONS:
            raise Problem("invalid_parameter", "too many logs", limit=MAX_RESTRICTIONS)
        seen = caller._replace(workspace=workspace)
        scope = next(iter(caller.scopes))
        return tuple(str(self._access.log(seen, log, scope).log_id) for log in logs)

    def _info(self, row: KeyRow) -> KeyInfo:
        return key_info(row, self._name(row.workspace))

    def _name(self, workspace: int) -> str:
        row = self._core.reader.workspace_by_key(workspace)
        if row is None:
            raise LookupError(f"no workspace {workspace}")
        return row.name


def key_info(row: KeyRow, workspace: str) -> KeyInfo:
    """A stored key without its digest."""
    return KeyInfo(
        key_id=row.key_id,
        writer=uuid.UUID(row.key_id),
        label=row.label,
        workspace=workspace,
        scopes=row.scopes,
        logs=row.logs,
        views=row.views,
        not_before=row.not_before,
        expires=row.expires,
        created=row.created,
        revoked=row.revoked,
        preset=row.preset,
    )


def key_created(audit_log: int, writer: bytes, row: KeyRow) -> AuditEvent:
    """What `_audit` says of a new key: who it is, and all that it may do."""
    facts: dict[str, object] = {
        "scopes": list(row.scopes),
        "logs": names(row.logs),
        "views": names(row.views),
        "not_before": None if row.not_before is None else format_micros(row.not_before),
        "expires": None if row.expires is None else format_micros(row.expires),
        "preset": row.preset,
    }
    return audit_event(audit_log, writer, "key.created", Subject("key", row.key_id, row.label), facts)


def _scopes(scopes: Sequence[str] | None, preset: str | None) -> tuple[str, ...]:
    if preset is not None:
        if preset not in PRESETS or scopes:
            raise Problem(
                "invalid_parameter", f"preset is one of {', '.join(PRESETS)}, and goes without scopes"
            )
        return PRESETS[preset]
    if not scopes:
        raise Problem("invalid_parameter", f"name at least one scope of {', '.join(SCOPES)}, or a preset")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise Problem("invalid_parameter", f"scopes are {', '.join(SCOPES)}; not {', '.join(unknown)}")
    return tuple(scope for scope in SCOPES if scope in scopes)


def _views(caller: Caller, views: Sequence[str] | None) -> tuple[str, ...] | None:
    if views is None:
        return None if caller.views is None else tuple(sorted(caller.views))
    if len(views) > MAX_RESTRICTIONS:
        raise Problem("invalid_parameter", "too many views", limit=MAX_RESTRICTIONS)
    return tuple(check_name(view, "view") for view in views)
