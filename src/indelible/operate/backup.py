"""A consistent copy of a data directory, taken while a server may be writing to it.

In this order: published checkpoints, the database, components, and the segments of events that were trimmed.
So the copy's logs are never behind the heads that stand beside them, and all that its rows name is there.
Snapshots of views stay out: they are made again. Secrets stay out unless asked for: whoever has the master
secret can sign heads.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path

from indelible import __version__
from indelible.model.instants import format_micros
from indelible.model.types import LogInfo
from indelible.operate import manifest as manifests
from indelible.operate.files import (
    file_digest,
    make_folder,
    refusing,
    sync_tree,
    write_file,
)
from indelible.operate.manifest import DATABASE, MASTER_SECRET, OBJECTS, ROOT_KEY, Manifest
from indelible.operate.sites import Progress, Site
from indelible.store.base import Reader, SegmentRow, StoreRefused
from indelible.store.directory import read_secret, write_secret
from indelible.store.durable import sync
from indelible.store.objects import Objects, ObjectsDiffer, get_exact
from indelible.store.paging import log_pages
from indelible.store.sqlite import copy_database
from indelible.store.sqlite_read import SqliteReader


def back_up(
    data: Path, target: Path, *, include_secrets: bool, progress: Progress, objects: str | None = None
) -> dict[str, object]:
    """Copy `data` to the new directory `target` and return the members of the manifest written there.

    `objects` says where its objects are (s3://BUCKET/PREFIX, or a folder); None: in `data`.

    When it returns, the copy is on stable storage. One that was cut short has no manifest and is no backup.

    Raises:
        StoreRefused: `data` is no data directory, its master secret cannot be read, `target` holds something
            or lies inside `data`, or the disk failed.
    """
    with refusing(f"{data} could not be backed up"), Site(data, objects=objects) as site:
        secret = site.master_secret()
        _check_target(data, target)
        make_folder(target)
        files = dict(_copy_objects(site.objects, target, "proofs", progress))
        copy_database(data / DATABASE, target / DATABASE, lambda n, of: progress("database", n, of))
        files[DATABASE] = file_digest(target / DATABASE)
        files.update(_copy_objects(site.objects, target, "components", progress))
        files.update(_copy_segments(site.objects, target, progress))
        if include_secrets:
            files.update(_copy_secrets(data, target))
        sync_tree(target)
        manifest = Manifest(
            deployment=site.deployment,
            software=__version__,
            taken=format_micros(time.time_ns() // 1_000),
            secrets=include_secrets,
            files=dict(sorted(files.items())),
        )
        write_file(target / manifests.NAME, manifests.encode(manifest, secret))
        sync(target.parent)
        if include_secrets:
            (data / "master-secret.backed-up").touch()
        return manifest.members()


def _check_target(data: Path, target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreRefused(f"{target} is not empty; name a new directory")
    if target.resolve().is_relative_to(data.resolve()):
        raise StoreRefused(f"{target} lies inside {data}, which it is to outlive; name another directory")


def _copy_objects(
    objects: Objects, target: Path, folder: str, progress: Progress
) -> Iterator[tuple[str, str]]:
    """Copy checkpoints and statements, or components. What an archive put beside them stays out."""
    keys = objects.list("components/") if folder == "components" else list(_published(objects))
    for done, key in enumerate(keys):
        data = objects.get(key)
        if data is None:  # it was removed meanwhile
            continue
        path = target / OBJECTS / key
        make_folder(path.parent)
        write_file(path, data)
        yield f"{OBJECTS}/{key}", hashlib.sha256(data).hexdigest()
        progress(folder, done + 1, len(keys))


def _copy_segments(objects: Objects, target: Path, progress: Progress) -> Iterator[tuple[str, str]]:
    """Copy the segments that hold what the copied database has no longer, wherever they stand."""
    with closing(SqliteReader(target / DATABASE, connections=1)) as reader:
        infos = list(chain.from_iterable(log_pages(reader)))
        total, done = sum(reader.trimmed(info.key) for info in infos), 0
        for info in infos:
            trimmed, last = reader.trimmed(info.key), 0
            while last < trimmed:
                segment, data = _segment(objects, reader, info, last + 1)
                path = target / OBJECTS / segment.key
                make_folder(path.parent)
                write_file(path, data)
                yield f"{OBJECTS}/{segment.key}", segment.sha256
                done += min(segment.last, trimmed) - last
                last = segment.last
                progress("trimmed events", done, total)


def _segment(objects: Objects, reader: Reader, info: LogInfo, sequence: int) -> tuple[SegmentRow, bytes]:
    """The segment of a trimmed event, and its bytes."""
    segment = reader.segment(info.key, sequence)
    if segment is not None:
        with suppress(ObjectsDiffer):
            return segment, get_exact(objects, segment.key, segment.sha256, segment.version)
    raise StoreRefused(
        f"event {sequence} of log {info.name} ({info.log_id}) was trimmed, and its segment is missing or"
        " changed: a copy would not be whole; indelible fsck says more"
    )


def _published(objects: Objects) -> Iterator[str]:
    for log_id in objects.folders("proofs/"):
        yield f"proofs/{log_id}/checkpoint"
        yield from objects.list(f"proofs/{log_id}/keys/")


def _copy_secrets(data: Path, target: Path) -> Iterator[tuple[str, str]]:
    for name in (MASTER_SECRET, ROOT_KEY):
        if (data / name).exists():
            write_secret(target / name, read_secret(data / name))
            yield name, file_digest(target / name)
