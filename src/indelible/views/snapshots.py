"""Snapshots in the object store: the parts first, then a manifest that binds them to all they depend on.

Keys, flat in a folder for each version of a view, `views/<view_id>/<version>/`:
`<sequence, 20 digits>-<number>-<16 hex of the digest>.part` and `<sequence, 20 digits>.manifest`. A part's
name holds its digest, so that two nodes that write the same snapshot never mix their parts.
`failed.json` beside them says at which event the view failed.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Literal

import msgspec

from indelible.model.limits import Limits
from indelible.views import thinning
from indelible.views.ports import Objects
from indelible.views.types import Deployment, ViewError

FORMAT: Literal["indelible/view-snapshot/v1"] = "indelible/view-snapshot/v1"
FAILURE_FORMAT: Literal["indelible/view-failure/v1"] = "indelible/view-failure/v1"
_MANIFEST = ".manifest"
_PART = ".part"
_DIGITS = 20


class SnapshotBroken(ValueError):
    """What is stored is not what the manifest says, or belongs to something else."""


class SnapshotRefused(Exception):
    """The view's state cannot be kept as a snapshot; the text says why."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part as it is stored."""

    key: str
    sha256: str
    size_bytes: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot is of, and what it is made of. Digests and roots are hex."""

    format: Literal["indelible/view-snapshot/v1"]
    view_id: str
    version: int
    origin: str
    component_sha256: str
    config_sha256: str
    world: str
    sequence: int
    root: str
    text: bool  # whether parts are UTF-8 text (`indelible:view`) or bytes (`primatomic:machine`)
    live: bool  # whether the view had reached the head
    memory_bytes: int  # what its instance held: how much room to make before it is restored
    created: int  # µs since 1970
    parts: tuple[Part, ...]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event that a view cannot fold, kept until another version is deployed."""

    format: Literal["indelible/view-failure/v1"]
    origin: str
    component_sha256: str
    config_sha256: str
    sequence: int
    reason: str


def config_sha256(config: str) -> str:
    """SHA-256 (hex) of a configuration's UTF-8 bytes."""
    return hashlib.sha256(config.encode()).hexdigest()


def _sequence(key: str) -> int:
    """The event that a part or a manifest is of; -1 where its name does not say."""
    digits = key.rpartition("/")[2][:_DIGITS]
    return int(digits) if digits.isascii() and digits.isdigit() else -1


def forget_versions(objects: Objects, view_id: str, versions: Collection[int]) -> None:
    """Remove the snapshots of these versions; where they failed stays known. Blocking, one look at all."""
    folder = f"views/{view_id}/"
    names = {str(version) for version in versions}
    keys = [key for key in objects.list(folder) if key.removeprefix(folder).partition("/")[0] in names]
    for ending in (_MANIFEST, _PART):
        for key in keys:
            if key.endswith(ending):
                objects.delete(key)


class Shelf:
    """The snapshots of one version of a view. Calls block; one thread at a time."""

    def __init__(self, objects: Objects, deployment: Deployment, limits: Limits) -> None:
        self._objects = objects
        self._deployment = deployment
        self._limits = limits
        self._folder = f"views/{deployment.view_id}/{deployment.version}/"
        self._config_sha256 = config_sha256(deployment.config)

    def manifests(self, upto: int | None = None) -> Iterator[Manifest]:
        """Manifests of this deployment, the newest first; one that is broken is deleted on the way.

        Those of states beyond event `upto` are passed over.
        """
        keys = (key for key in self._objects.list(self._folder) if key.endswith(_MANIFEST))
        last = None if upto is None else self._manifest_key(upto)
        for key in sorted(keys, reverse=True):
            if last is not None and key > last:
                continue
            data = self._objects.get(key)
            if data is None:
                continue
            try:
                manifest = self._read(key, data)
            except SnapshotBroken:
                self._objects.delete(key)
            else:
                yield manifest

    def _read(self, key: str, data: bytes) -> Manifest:
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SnapshotBroken(f"unreadable manifest: {error}") from error
        if self._manifest_key(manifest.sequence) != key or not self._is_ours(manifest):
            raise SnapshotBroken("the manifest belongs to something else")
        return manifest

    def _is_ours(self, manifest: Manifest) -> bool:
        ours = self._deployment
        return (
            manifest.view_id == ours.view_id
            and manifest.version == ours.version
            and manifest.origin == ours.origin
            and manifest.component_sha256 == ours.component_sha256
            and manifest.config_sha256 == self._config_sha256
            and manifest.sequence > 0
        )

    def parts(self, manifest: Manifest) -> Iterator[str | bytes]:
        """The parts in order, each checked against its digest.

        Raises:
            SnapshotBroken: a part is missing or is not what was stored.
        """
        for part in manifest.parts:
            data = self._objects.get(part.key)
            if data is None or hashlib.sha256(data).hexdigest() != part.sha256:
                raise SnapshotBroken(f"part {part.key} is missing or damaged")
            yield data.decode() if manifest.text else data

    def write(
        self,
        parts: Iterable[str | bytes],
        *,
        sequence: int,
        root: bytes,
        world: str,
        live: bool,
        memory_bytes: int,
        now: int,
    ) -> Manifest:
        """Store a snapshot, then let go of older ones (`snapshots_kept`, `snapshots_past`).

        Raises:
            SnapshotRefused: there are no parts, or they are over a limit.
        """
        stored, text = self._put_parts(sequence, parts)
        ours = self._deployment
        manifest = Manifest(
            format=FORMAT,
            view_id=ours.view_id,
            version=ours.version,
            origin=ours.origin,
            component_sha256=ours.component_sha256,
            config_sha256=self._config_sha256,
            world=world,
            sequence=sequence,
            root=root.hex(),
            text=text,
            live=live,
            memory_bytes=memory_bytes,
            created=now,
            parts=tuple(stored),
        )
        self._objects.put(self._manifest_key(sequence), msgspec.json.encode(manifest))
        self._prune()
        return manifest

    def _put_parts(self, sequence: int, parts: Iterable[str | bytes]) -> tuple[list[Part], bool]:
        """Store the parts; also say whether they are text. None stays stored when one is refused."""
        stored: list[Part] = []
        text = True
        try:
            for part in parts:
                text = isinstance(part, str)
                stored.append(self._put_part(sequence, len(stored), part))
                self._check_total(stored)
        except BaseException:
            self._delete(part.key for part in stored)
            raise
        if not stored:
            raise SnapshotRefused("the view gives none")
        return stored, text

    def _put_part(self, sequence: int, number: int, part: str | bytes) -> Part:
        data = part.encode() if isinstance(part, str) else bytes(part)
        if len(data) > self._limits.snapshot_part_bytes:
            raise SnapshotRefused(f"a part is over {self._limits.snapshot_part_bytes} bytes")
        digest = hashlib.sha256(data).hexdigest()
        key = f"{self._folder}{sequence:0{_DIGITS}d}-{number:05d}-{digest[:16]}{_PART}"
        self._objects.put(key, data)
        return Part(key=key, sha256=digest, size_bytes=len(data))

    def _check_total(self, stored: list[Part]) -> None:
        limit = self._limits.snapshot_bytes
        # A part has bytes or counts as one, so that a view cannot give empty parts for ever.
        if (
            sum(max(1, part.size_bytes) for part in stored) > limit
            or len(stored) > self._limits.snapshot_parts
        ):
            raise SnapshotRefused(f"the state is over {limit} bytes or {self._limits.snapshot_parts} parts")

    def _manifest_key(self, sequence: int) -> str:
        return f"{self._folder}{sequence:0{_DIGITS}d}{_MANIFEST}"

    def _prune(self) -> None:
        """Manifests first: what has no manifest is no snapshot, whether or not its parts are gone yet."""
        keys = self._objects.list(self._folder)
        stored = sorted(_sequence(key) for key in keys if key.endswith(_MANIFEST))
        newest, older = self._limits.snapshots_kept, self._limits.snapshots_past
        kept = thinning.kept(stored, newest, older)
        self._delete(self._manifest_key(each) for each in stored if each not in kept)
        parts = ((key, _sequence(key)) for key in keys if key.endswith(_PART))
        # What is newer than that may be of a snapshot that another node is writing.
        before = stored[-newest:][0] if stored else 0
        self._delete(key for key, sequence in parts if sequence not in kept and sequence < before)

    def drop(self, manifest: Manifest) -> None:
        """Remove a snapshot that turned out to be broken."""
        self._objects.delete(self._manifest_key(manifest.sequence))
        self._delete(part.key for part in manifest.parts if part.key.startswith(self._folder))

    def forget(self) -> None:
        """Remove everything that is stored for the view, all its versions."""
        keys = self._objects.list(f"views/{self._deployment.view_id}/")
        self._delete(sorted(keys, key=lambda key: not key.endswith(_MANIFEST)))

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._objects.delete(key)

    def write_failure(self, error: ViewError) -> None:
        """Remember that this version failed."""
        ours = self._deployment
        failure = Failure(
            format=FAILURE_FORMAT,
            origin=ours.origin,
            component_sha256=ours.component_sha256,
            config_sha256=self._config_sha256,
            sequence=error.sequence,
            reason=error.reason,
        )
        self._objects.put(f"{self._folder}failed.json", msgspec.json.encode(failure))

    def failure(self) -> ViewError | None:
        """Where this version failed, if it did. A record that is not ours counts as none."""
        data = self._objects.get(f"{self._folder}failed.json")
        if data is None:
            return None
        try:
            failure = msgspec.json.decode(data, type=Failure)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        ours = self._deployment
        bound = (ours.origin, ours.component_sha256, self._config_sha256)
        if (failure.origin, failure.component_sha256, failure.config_sha256) != bound:
            return None
        return ViewError(failure.sequence, failure.reason)
