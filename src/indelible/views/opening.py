"""How an instance comes into memory: from the newest good snapshot, or from nothing."""

from collections.abc import Callable
from typing import NamedTuple

import structlog

from indelible.fold.errors import Aborted, GuestError, GuestTrap
from indelible.fold.types import Compiled
from indelible.views.ports import EventSource, Host, Instance
from indelible.views.snapshots import Manifest, Shelf, SnapshotBroken
from indelible.views.types import Deployment, ViewError

RESTORES_TRIED = 3
"""How often a snapshot may be aborted on the way into memory before the next one is used."""

_log = structlog.get_logger("indelible.views")


class NotNow(Exception):
    """It could not be done for a reason that may pass; the text says which."""


class Opened(NamedTuple):
    """An instance, what it was restored from (None: it holds no event), and the world it speaks."""

    instance: Instance
    manifest: Manifest | None
    world: str


class Opener:
    """Opens instances of one version of a view. Blocking; one thread at a time."""

    def __init__(
        self,
        deployment: Deployment,
        source: EventSource,
        shelf: Shelf,
        host: Host,
        load_component: Callable[[str], Compiled],
        upto: int | None = None,
    ) -> None:
        self._deployment = deployment
        self._source = source
        self._shelf = shelf
        self._host = host
        self._load = load_component
        self._upto = upto  # no snapshot beyond this event
        self._compiled: Compiled | None = None
        self._aborted: dict[int, int] = {}  # how often each snapshot was

    def open(self) -> Opened | ViewError:
        """Bring an instance into memory; a view that cannot even start has failed before the first event.

        Raises:
            NotNow: aborted.
        """
        compiled = self._compiled or self._load(self._deployment.component_sha256)
        self._compiled = None  # until it has opened: what was compiled may be lost
        opened = self._restore_any(compiled) or self._start(compiled)
        self._compiled = compiled
        return opened

    def _restore_any(self, compiled: Compiled) -> Opened | None:
        for manifest in self._shelf.manifests(self._upto):
            instance = self._restore(compiled, manifest)
            if instance is not None:
                return Opened(instance, manifest, compiled.world.value)
        return None

    def _restore(self, compiled: Compiled, manifest: Manifest) -> Instance | None:
        """Try one snapshot; a broken one is dropped."""
        view, sequence = self._deployment, manifest.sequence
        size, _ = self._source.committed(view.log)
        if sequence > size or self._aborted.get(sequence, 0) >= RESTORES_TRIED:
            return None  # it stays stored: another node may know more of the log, or have more time
        root = self._source.root_at(view.log, sequence)
        try:
            _check_bound(compiled, manifest, root)
            return self._host.reopen(compiled, view.config, view.facts, self._shelf.parts(manifest))
        except (ValueError, GuestError, GuestTrap) as error:
            _log.warning("snapshot_dropped", view=view.view_id, sequence=sequence, reason=str(error))
            self._shelf.drop(manifest)
            return None
        except Aborted as error:
            self._aborted[sequence] = self._aborted.get(sequence, 0) + 1
            raise NotNow(f"restoring was aborted: {error}") from error

    def _start(self, compiled: Compiled) -> Opened | ViewError:
        """Start from nothing; a failure counts when it comes twice."""
        view = self._deployment
        try:
            try:
                instance = self._host.open(compiled, view.config, view.facts)
            except (GuestError, GuestTrap):
                instance = self._host.open(compiled, view.config, view.facts)
        except (GuestError, GuestTrap) as error:
            return ViewError(0, str(error))
        except Aborted as error:
            raise NotNow(f"starting was aborted: {error}") from error
        return Opened(instance, None, compiled.world.value)


def _check_bound(compiled: Compiled, manifest: Manifest, root: bytes) -> None:
    """Check what the manifest alone cannot show; `Shelf` has checked the rest."""
    if manifest.world != compiled.world.value:
        raise SnapshotBroken("the snapshot is of another world")
    if root.hex() != manifest.root:
        raise SnapshotBroken("the snapshot is of another history")
