"""The calls on keys and workspaces, and whether the server is ready."""

from collections.abc import Sequence
from typing import Any

import msgspec

from indelible.client.base import Calls, path_to
from indelible.client.results import Key, Workspace


class KeyCalls(Calls):
    """Keys and workspaces."""

    def create_key(
        self,
        *,
        label: str,
        scopes: Sequence[str] = (),
        preset: str | None = None,
        logs: Sequence[str] | None = None,
        views: Sequence[str] | None = None,
        not_before: str | None = None,
        expires: str | None = None,
        workspace: str | None = None,
    ) -> Key:
        """Make a key that grants no more than this client's. Its secret is in this answer only."""
        members = {
            "label": label,
            "scopes": list(scopes) or None,
            "preset": preset,
            "logs": list(logs) if logs is not None else None,
            "views": list(views) if views is not None else None,
            "not_before": not_before,
            "expires": expires,
            "workspace": workspace,
        }
        given = {name: value for name, value in members.items() if value is not None}
        return self._decode(self._send_json("POST", "/keys", given), Key)

    def keys(self) -> list[Key]:
        """Return the keys of the workspace, without secrets."""
        return self._decode(self.transport.send("GET", "/keys"), _Keys).keys

    def revoke_key(self, key_id: str) -> None:
        """Revoke a key, from the next request on."""
        self.transport.send("DELETE", path_to("keys", key_id), repeatable=True)

    def create_workspace(self, name: str) -> Workspace:
        """Make a workspace; its first key's secret is in this answer only."""
        return self._decode(self._send_json("POST", "/workspaces", {"name": name}), Workspace)

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces."""
        return self._decode(self.transport.send("GET", "/workspaces"), _Workspaces).workspaces

    def ready(self) -> Any:
        """Return what `/readyz` says. A server that is not ready is a refusal."""
        return self._parse(self.transport.send("GET", "/readyz").body, object)


class _Keys(msgspec.Struct):
    keys: list[Key]


class _Workspaces(msgspec.Struct):
    workspaces: list[Workspace]
