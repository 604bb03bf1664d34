"""What stands in the object store, compared with what it is bound to: checkpoints, components, snapshots.

Roots that objects speak of are handed on as `Watched`, and compared when the log is recomputed.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from indelible.log.keyring import Histories
from indelible.log.publish import load_published
from indelible.log.recompute import Watched
from indelible.model.names import parse_uuid
from indelible.model.types import LogInfo
from indelible.service.components import component_key
from indelible.store.base import ViewRow
from indelible.store.objects import Objects
from indelible.views.snapshots import Manifest, config_sha256

PROOFS, COMPONENTS = "proofs/", "components/"


class Broken(NamedTuple):
    """An object that is not what it should be: `kind` is checkpoint, snapshot or component."""

    kind: str
    found: str


def published(objects: Objects, keys: Histories, info: LogInfo) -> Watched | Broken | None:
    """A log's published checkpoint, None where there is none."""
    try:
        checkpoint = load_published(objects, keys, info)
    except ValueError as error:
        return Broken("checkpoint", f"the published checkpoint is not one of this log: {error}")
    if checkpoint is None:
        return None
    return Watched(checkpoint.size, checkpoint.root, "checkpoint", "the published checkpoint")


def unknown_checkpoints(objects: Objects, log_by_id: Callable[[bytes], LogInfo | None]) -> Iterator[Broken]:
    """Checkpoints of logs that the store does not hold."""
    for log_id in objects.folders(PROOFS):
        parsed = parse_uuid(log_id)
        if parsed is None or log_by_id(parsed.bytes) is None:
            yield Broken("checkpoint", f"log {log_id} was published and is not in the store")


def components(objects: Objects) -> Iterator[Broken]:
    """Stored components that are not what their names say."""
    for key in objects.list(COMPONENTS):
        data = objects.get(key)
        if data is not None and component_key(hashlib.sha256(data).hexdigest()) != key:
            yield Broken("component", f"{key} has another digest than its name says")


def of_view(objects: Objects, info: LogInfo, row: ViewRow) -> Iterator[Watched | Broken]:
    """What a version of a view needs and has: its component, its snapshots."""
    if objects.start(component_key(row.component_sha256), 1) is None:
        yield Broken("component", f"view {row.name}: its component {row.component_sha256} is missing")
    folder = f"views/{uuid.UUID(bytes=row.view_id)}/{row.version}/"
    for key in objects.list(folder):
        if key.endswith(".manifest"):
            yield from _snapshot(objects, info, row, key)


def _snapshot(objects: Objects, info: LogInfo, row: ViewRow, key: str) -> Iterator[Watched | Broken]:
    data = objects.get(key)
    if data is None:  # the server let go of it meanwhile
        return
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
        root = bytes.fromhex(manifest.root)
    except (ValueError, msgspec.MsgspecError) as error:
        yield Broken("snapshot", f"{key} cannot be read: {error}")
        return
    if not _is_bound(manifest, info, row, key):
        yield Broken("snapshot", f"{key} belongs to something else")
        return
    yield Watched(manifest.sequence, root, "snapshot", f"view {row.name} has a snapshot")
    for part in manifest.parts:
        stored = objects.get(part.key)
        if stored is None and objects.get(key) is None:
            return
        digest = None if stored is None else hashlib.sha256(stored).hexdigest()
        if stored is None or (digest, len(stored)) != (part.sha256, part.size_bytes):
            yield Broken("snapshot", f"{part.key} is missing, or not what the manifest says")


def _is_bound(manifest: Manifest, info: LogInfo, row: ViewRow, key: str) -> bool:
    bound = (manifest.view_id, manifest.version, manifest.origin, manifest.component_sha256)
    ours = (str(uuid.UUID(bytes=row.view_id)), row.version, info.origin, row.component_sha256)
    name = f"views/{ours[0]}/{row.version}/{manifest.sequence:020d}.manifest"
    made_of = (manifest.config_sha256, manifest.world)
    return bound == ours and key == name and made_of == (config_sha256(row.config), row.world)
