"""A workspace's rows as they are archived: what no event holds and no tree covers (docs/formats.md, Archive).

Secrets are not among them: of API keys there are digests. Rows are written with the names of their columns,
so that a later program reads what an earlier one wrote.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from indelible.model.types import LogInfo
from indelible.store.base import KeyRow, LogKeyRow, Reader, ViewRow, WorkspaceRow
from indelible.store.paging import log_pages

FORMAT = "indelible-state/1"
_Row = TypeVar("_Row")


class StateError(ValueError):
    """Bytes that are no state of a workspace."""


class State(NamedTuple):
    """All rows of a workspace but for heads and events, logs in the order in which they were made."""

    workspace: WorkspaceRow
    logs: Sequence[LogInfo]
    log_keys: Sequence[LogKeyRow]
    keys: Sequence[KeyRow]
    views: Sequence[ViewRow]


def state_key(workspace_id: bytes, sha256: str) -> str:
    """Where a state stands in the object store."""
    return f"state/{uuid.UUID(bytes=workspace_id)}/{sha256}"


def read_state(reader: Reader, workspace: WorkspaceRow) -> State:
    """Read the rows of a workspace; what is changed meanwhile may be in it in part."""
    pages = log_pages(reader, workspace.key)
    logs = sorted((info for page in pages for info in page), key=lambda info: info.key)
    return State(
        workspace=workspace,
        logs=logs,
        log_keys=[row for info in logs for row in reader.log_keys(info.key)],
        keys=reader.keys(workspace.key),
        views=[row for info in logs for row in reader.view_versions(info.key)],
    )


def encode_state(state: State) -> bytes:
    """As JSON: a row is an object with the names of its columns, bytes are base64."""
    members: dict[str, object] = {"format": FORMAT, "workspace": state.workspace._asdict()}
    members["logs"] = [row._asdict() for row in state.logs]
    members["log_keys"] = [row._asdict() for row in state.log_keys]
    members["keys"] = [row._asdict() for row in state.keys]
    members["views"] = [row._asdict() for row in state.views]
    return msgspec.json.encode(members)


def decode_state(data: bytes) -> State:
    """Read a state.

    Raises:
        StateError: it is not one that this program wrote.
    """
    try:
        members = msgspec.json.decode(data, type=dict[str, Any])
        if members["format"] != FORMAT:
            raise StateError(f"its format is {members['format']}, this program knows {FORMAT}")
        return State(
            _row(members["workspace"], WorkspaceRow),
            [_row(row, LogInfo) for row in members["logs"]],
            [_row(row, LogKeyRow) for row in members["log_keys"]],
            [_row(row, KeyRow) for row in members["keys"]],
            [_row(row, ViewRow) for row in members["views"]],
        )
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"it is not the state of a workspace: {error}") from None


def _row(members: Mapping[str, Any], kind: type[_Row]) -> _Row:
    """Make a row; a column that was added since has its default."""
    names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]  # a NamedTuple, which no bound can say
    defaults: Mapping[str, Any] = kind._field_defaults  # type: ignore[attr-defined]  # same
    values = [members[name] if name in members else defaults[name] for name in names]
    return msgspec.convert(values, kind, strict=True, builtin_types=())
