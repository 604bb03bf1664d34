"""A store made again from an archive and the master secret's backup, verified, read-only unless that is safe.

Only what the newest manifest names is taken. Each segment must be the one that the segment after it names, or
the manifest for the last one; all events of a log must lead to the root of its archived checkpoint, which its
key signed. Then the new store is recomputed as any restored copy is, before a server can open it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from indelible.log.archive_manifest import ArchivedLog, ArchiveError, Chain, archive_key, load_chain
from indelible.log.archive_state import State, StateError, decode_state
from indelible.log.keyring import Keyring
from indelible.log.publish import checkpoint_key
from indelible.log.segment import Ref, SegmentError
from indelible.log.segmentchain import fetched, segments_of
from indelible.log.signers import Signers
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.names import check_deployment_name
from indelible.model.types import LogInfo
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.note import NoteError, parse_note
from indelible.notes.statements import open_checkpoint_with
from indelible.operate.files import put_in_place, refusing, sync_tree, write_file
from indelible.operate.laying import Layer
from indelible.operate.manifest import DATABASE, MASTER_SECRET
from indelible.operate.restore import (
    UNCHECKED,
    claimed,
    secret_of,
    take_published,
    told,
    verify,
)
from indelible.operate.sites import Progress, Site
from indelible.service.bootstrap import FIRST_KEY, NAME, RESTORED, UNFINISHED, first_public_key
from indelible.service.components import component_key
from indelible.store.base import Store, StoreRefused
from indelible.store.bucket import existing_objects
from indelible.store.databases import open_shared_store
from indelible.store.directory import DataDirectory, write_secret
from indelible.store.objects import LocalObjects, Objects
from indelible.store.sqlite import SqliteStore

BUILDING = "building"


class Rebuilt(NamedTuple):
    """What was rebuilt; `behind` counts logs whose published head is ahead of what was archived of them."""

    deployment: str
    logs: int
    events: int
    read_only: bool
    manifest: int
    archived: str
    behind: int


def rebuild(
    source: str,
    data: Path,
    *,
    master_secret: Path | None,
    published: str | None,
    checkpoint: Path | None,
    progress: Progress,
    database: str | None = None,
) -> Rebuilt:
    """Make the new data directory `data` from the archive at `source` (s3://BUCKET/PREFIX, or a folder).

    Args:
        source: the objects that the original archived to.
        data: must not hold anything.
        database: of PostgreSQL, to hold the store instead of the directory; must be empty as well.
        master_secret: the file with the master secret; an archive never holds it.
        published: the original's objects, whose operator declares it dead by giving them. With them, logs
            that are no older than their published heads can be continued.
        checkpoint: a signed checkpoint that somebody kept, which the rebuilt log must continue or be.
        progress: called as things go on.

    Raises:
        StoreRefused: the archive was changed, does not verify, or is older than `published` or `checkpoint`;
            or `data` is not empty. Nothing is left in `data` then, and what is left in `database` is refused.
    """
    with refusing(f"{source} could not be restored"), _archive(source):
        objects = existing_objects(source)
        secret = secret_of(master_secret, "an archive holds no secrets")
        chain = load_chain(objects, archive_key(secret))
        if not chain.number:
            raise StoreRefused(f"{objects.place} holds no archive")
        states = [_state(objects, each.state) for each in chain.workspaces.values()]
        with claimed(data) as directory:
            write_secret(data / MASTER_SECRET, secret)
            with _target(directory, database) as store:
                _build(store, objects, chain, states, directory, secret, progress)
            with Site(data, file=UNCHECKED, url=database) as site:
                keys = site.keyring()
                verify(site, keys, progress, "archive")
                if checkpoint is not None:
                    _continues(site, keys, checkpoint)
                if published is not None:
                    take_published(site, keys, existing_objects(published), "archive")
                restored = told(site, read_only=published is None)
                behind = _behind(site, objects)
            if restored.read_only:
                write_file(directory.restored_marker, b"this copy was restored\n")
            sync_tree(data)
            if database is None:
                put_in_place(data / UNCHECKED, data / DATABASE)
            else:
                _finish(directory, database, read_only=restored.read_only)
            return Rebuilt(*restored, manifest=chain.number, archived=chain.written or "", behind=behind)


class _archive:  # noqa: N801 - reads as a function
    """Tell what is wrong with an archive as a refusal."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ArchiveError | StateError | SegmentError):
            raise StoreRefused(f"the archive in {self._source} does not verify: {error}") from error


def _state(objects: Objects, ref: Ref) -> State:
    try:
        return decode_state(fetched(objects, ref))
    except StateError as error:
        raise ArchiveError(f"{ref.key}: {error}") from None


@contextmanager
def _target(directory: DataDirectory, database: str | None) -> Iterator[Store]:
    """An empty store to fill: in the directory, under a name that no server opens, or in a database."""
    if database is not None:
        with closing(open_shared_store(database)) as store:
            if store.reader.meta(NAME) or store.reader.meta(UNFINISHED) or store.reader.last_log():
                raise StoreRefused("the database is not empty; name a new one")
            with store.transaction() as transaction:
                transaction.put_meta(UNFINISHED, b"1")
            yield store
        return
    folder = directory.path / BUILDING
    folder.mkdir(mode=0o700)
    with closing(SqliteStore(folder)) as embedded:
        yield embedded
    (folder / DATABASE).rename(directory.path / UNCHECKED)
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def _finish(directory: DataDirectory, database: str, *, read_only: bool) -> None:
    """Let servers open what was restored into a database; the last step, so that nothing before it serves."""
    (directory.path / DATABASE).unlink()
    directory.claim(elsewhere=True)
    with closing(open_shared_store(database)) as store, store.transaction() as transaction:
        transaction.put_meta(RESTORED, b"1" if read_only else b"")
        transaction.put_meta(UNFINISHED, b"")


def _build(
    store: Store,
    objects: Objects,
    chain: Chain,
    states: Sequence[State],
    directory: DataDirectory,
    secret: bytes,
    progress: Progress,
) -> None:
    """Fill a store, and the objects that it needs."""
    signers = Signers(secret)
    local = LocalObjects(directory.objects)
    layer = Layer(store, DEFAULT_LIMITS, SYSTEM_CLOCK.wall_micros())
    with store.transaction() as transaction:
        transaction.put_meta(NAME, check_deployment_name(chain.deployment or "").encode())
        transaction.put_meta(FIRST_KEY, first_public_key(signers))
    infos = layer.rows(states)
    keys = Keyring(store.reader, signers, DEFAULT_LIMITS, SYSTEM_CLOCK)
    total, done = sum(log.size for log in chain.logs.values()), 0
    for archived in chain.logs.values():
        info = infos.get(archived.log_id)
        if info is None or info.origin != archived.origin:
            raise ArchiveError(f"log {archived.log_id} is not among the rows of its workspace")
        for segment in segments_of(objects, archived):
            layer.events(info, segment.ref, segment.data, archived.time_floor)
            progress("rebuilding", done + layer.size, total)
        done += archived.size
        _check_head(layer, keys, info, archived)
        local.put(checkpoint_key(info), archived.checkpoint.encode())
    for info in infos.values():
        keys.publish_statements(info, keys.keys(info), local)
        if str(info.log_id) not in chain.logs:
            _empty_head(objects, local, keys, info)
    _components(objects, local, states)


def _check_head(layer: Layer, keys: Keyring, info: LogInfo, archived: ArchivedLog) -> None:
    """The events that were laid are those of the archived checkpoint, which the log's key signed."""
    try:
        signed, _ = open_checkpoint_with(keys.history(info), archived.checkpoint.encode())
    except ValueError as error:
        raise ArchiveError(f"the archived checkpoint of log {info.log_id} is not its own: {error}") from None
    if (signed.size, signed.root) != (archived.size, layer.root):
        raise ArchiveError(
            f"the events of log {info.log_id} in {archived.last.key} and before do not lead to its archived"
            f" checkpoint of {signed.size} events"
        )


def _empty_head(objects: Objects, local: LocalObjects, keys: Keyring, info: LogInfo) -> None:
    """Bring the published checkpoint of a log that has no events; no manifest names such a log."""
    note = objects.get(checkpoint_key(info))
    if note is not None:
        try:
            signed, _ = open_checkpoint_with(keys.history(info), note)
        except ValueError as error:
            raise ArchiveError(f"{checkpoint_key(info)} is not the log's own: {error}") from None
        if signed.size == 0:
            local.put(checkpoint_key(info), note)


def _components(objects: Objects, local: LocalObjects, states: Sequence[State]) -> None:
    """Bring the components that views in use name, each under its digest.

    Those of their retired versions may be missing: nothing needs them before somebody goes back to one.
    """
    rows = [row for state in states for row in state.views]
    needed = {row.component_sha256 for row in rows if row.state != "retired"}
    in_use = {row.view_id for row in rows if row.state != "retired"}
    for sha256 in sorted({row.component_sha256 for row in rows if row.view_id in in_use}):
        data = objects.get(component_key(sha256))
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            if data is None and sha256 not in needed:
                continue
            raise ArchiveError(f"{component_key(sha256)} is missing, or was changed")
        local.create(component_key(sha256), data)


def _continues(site: Site, keys: Keyring, file: Path) -> None:
    """Compare the rebuilt log with a checkpoint that somebody kept."""
    note = file.read_bytes()
    try:
        origin = parse_checkpoint(parse_note(note).text).origin
    except NoteError as error:
        raise StoreRefused(f"{file} holds no checkpoint: {error}") from None
    info = next((info for info in site.logs() if info.origin == origin), None)
    if info is None:
        raise StoreRefused(f"{file} is a checkpoint of {origin}, which the archive does not hold")
    try:
        kept, _ = open_checkpoint_with(keys.history(info), note)
    except ValueError as error:
        raise StoreRefused(f"{file} is not signed with the key of {origin}: {error}") from None
    head = site.reader.head(info.key)
    if head is None or head.size < kept.size:
        raise StoreRefused(
            f"the archive holds {head.size if head else 0} events of log {info.name}, {file} has {kept.size}"
        )
    if site.root_at(info, kept.size) != kept.root:
        raise StoreRefused(f"log {info.name} in the archive is another history than that of {file}")


def _behind(site: Site, objects: Objects) -> int:
    """How many logs were published further than they were archived; by their checkpoints' own words."""
    count = 0
    for info in site.logs():
        note = objects.get(checkpoint_key(info))
        head = site.reader.head(info.key)
        if note is not None and head is not None:
            count += parse_checkpoint(parse_note(note).text).size > head.size
    return count
