"""Rows of a workspace compared with what its `_audit` says of them. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from indelible.log.keyring import Keyring
from indelible.model.instants import format_micros
from indelible.model.names import log_origin
from indelible.model.types import LogInfo
from indelible.operate.accounts import Account, AuditedView, Said, id_of
from indelible.service.audit import names
from indelible.store.base import HeadRow, KeyRow, ViewRow, WorkspaceRow
from indelible.views.snapshots import config_sha256


class WorkspaceRows(NamedTuple):
    """What the store holds of a workspace, all of one moment; `audit` is the head of its `_audit`."""

    workspace: WorkspaceRow
    audit: HeadRow
    logs: Sequence[LogInfo]
    keys: Sequence[KeyRow]
    views: Sequence[ViewRow]


class Unlike(NamedTuple):
    """A row that is not as `_audit` says, or that only one of the two knows."""

    kind: str  # workspace | log | key | view
    log: LogInfo | None
    sequence: int | None  # in `_audit`
    found: str


def compare(
    rows: WorkspaceRows, account: Account, deployment: str, keyring: Keyring | None
) -> Iterator[Unlike]:
    """Compare all rows of a workspace, in both directions."""
    yield from _workspace(rows, account)
    yield from _logs(rows, account)
    yield from _origins(rows, deployment)
    if keyring is not None:
        yield from _signing_keys(rows, account, keyring)
    yield from _keys(rows, account)
    yield from _views(rows, account)


def _created(said: Said, created: int, rows: WorkspaceRows) -> bool:
    """Whether a row can have been made when `_audit` says so: in the same transaction, at its time."""
    held_back = said.held_back or said.time <= rows.audit.time_floor
    return created == said.time or (created < said.time and held_back)


def _workspace(rows: WorkspaceRows, account: Account) -> Iterator[Unlike]:
    row = rows.workspace
    said = account.workspaces.get(id_of(row.workspace_id))
    if said is None:
        if account.whole:
            yield Unlike("workspace", None, None, "the workspace's id is none that _audit says was created")
        return
    if said.name != row.name:
        found = f"the workspace is named {row.name}, _audit says {said.name}"
        yield Unlike("workspace", None, said.sequence, found)
    if not _created(said, row.created, rows):
        yield Unlike("workspace", None, said.sequence, "the workspace is dated otherwise than _audit says")


def _logs(rows: WorkspaceRows, account: Account) -> Iterator[Unlike]:
    there = {str(info.log_id): info for info in rows.logs}
    for log_id, info in there.items():
        said = account.logs.get(log_id)
        if said is None:
            if account.whole:
                yield Unlike("log", info, None, "_audit does not say that this log was created here")
            continue
        differs = {
            f"it is named {info.name}, _audit says {said.name}": info.name != said.name,
            f"its origin is {info.origin}, _audit says {said.facts.get('origin')}": info.origin
            != said.facts.get("origin"),
            "it is dated otherwise than _audit says": not _created(said, info.created, rows),
            "it is erasable, which no log is yet": info.erasable,
            "who may see its proofs is not what _audit says": info.public_proofs
            != account.public_proofs.get(log_id, False),
        }
        yield from (Unlike("log", info, said.sequence, found) for found, is_so in differs.items() if is_so)
    for log_id, said in account.logs.items():
        if log_id not in there:
            found = f"_audit says that log {said.name} ({log_id}) was created; it is gone"
            yield Unlike("log", None, said.sequence, found)


def _origins(rows: WorkspaceRows, deployment: str) -> Iterator[Unlike]:
    for info in rows.logs:
        if info.origin != log_origin(deployment, info.log_id):
            found = f"its origin {info.origin} is not of this deployment, {deployment}"
            yield Unlike("log", info, None, found)


def _signing_keys(rows: WorkspaceRows, account: Account, keyring: Keyring) -> Iterator[Unlike]:
    for info in rows.logs:
        try:
            stored = [row.verifier_key for row in keyring.keys(info).rows]
        except ValueError as error:
            yield Unlike("log", info, None, f"its signing keys do not hold: {error}")
            continue
        said = account.signing_keys.get(info.origin, [])
        if stored != said and (said or account.whole):
            yield Unlike("log", info, None, "its signing keys are not those that _audit declares")


def _keys(rows: WorkspaceRows, account: Account) -> Iterator[Unlike]:
    there = {row.key_id: row for row in rows.keys}
    for key_id, row in there.items():
        said = account.keys.get(key_id)
        if said is not None:
            for found in _key_differs(row, said, account.revoked.get(key_id), rows):
                yield Unlike("key", None, said.sequence, f"key {key_id}: {found}")
        elif account.whole:
            found = f"key {key_id} ({row.label}): _audit does not say that it was created here"
            yield Unlike("key", None, None, found)
    for key_id, said in account.keys.items():
        if key_id not in there:
            found = f"key {key_id} ({said.name}): _audit says that it was created; it is gone"
            yield Unlike("key", None, said.sequence, found)


def _key_differs(row: KeyRow, said: Said, revoked: Said | None, rows: WorkspaceRows) -> Iterator[str]:
    stored = {
        "label": row.label,
        "scopes": list(row.scopes),
        "logs": names(row.logs),
        "views": names(row.views),
        "not_before": _instant(row.not_before),
        "expires": _instant(row.expires),
        "preset": row.preset,
    }
    for name, value in stored.items():
        was = said.name if name == "label" else said.facts.get(name)
        if value != was:
            yield f"its {name} is {value}, _audit says {was}"
    if not _created(said, row.created, rows):
        yield "it is dated otherwise than _audit says"
    if revoked is None and row.revoked is not None:
        yield "it is revoked, and _audit does not say so"
    elif revoked is not None and row.revoked is None:
        yield f"it is not revoked, and _audit says that it was (event {revoked.sequence})"
    elif revoked is not None and not _created(revoked, row.revoked or 0, rows):
        yield "its revocation is dated otherwise than _audit says"


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)


def _views(rows: WorkspaceRows, account: Account) -> Iterator[Unlike]:
    logs = {info.key: info for info in rows.logs}
    there = {(id_of(row.view_id), row.version): row for row in rows.views}
    for (view_id, version), row in there.items():
        view = account.views.get(view_id, {}).get(version)
        info = logs.get(row.log)
        what = f"view {row.name} ({view_id}) version {version}"
        if view is not None:
            for found in _view_differs(row, info, view, rows):
                yield Unlike("view", info, view.said.sequence, f"{what}: {found}")
        elif account.whole:
            yield Unlike("view", info, None, f"{what}: _audit does not say that it was deployed")
    for view_id, versions in account.views.items():
        for version, view in versions.items():
            if (view_id, version) not in there:
                found = f"view {view.said.name} ({view_id}) version {version} is gone"
                yield Unlike("view", None, view.said.sequence, found)


def _view_differs(
    row: ViewRow, info: LogInfo | None, view: AuditedView, rows: WorkspaceRows
) -> Iterator[str]:
    stored = {
        "name": row.name,
        "log": str(info.log_id) if info else None,
        "component_sha256": row.component_sha256,
        "config_sha256": config_sha256(row.config),
        "builtin": row.builtin,
        "author": id_of(row.author),
        "state": row.state,
    }
    said = {**view.said.facts, "name": view.said.name, "author": id_of(view.said.actor), "state": view.state}
    for name, value in stored.items():
        if value != said.get(name):
            yield f"its {name} is {value}, _audit says {said.get(name)}"
    if not _created(view.said, row.created, rows):
        yield "it is dated otherwise than _audit says"
