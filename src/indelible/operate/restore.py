"""Bringing a backup back: checked in whole before it can serve, and read-only unless that is safe.

A backup may be older than the last head that its original published. A log continued from there would
give two heads of one size, which is what a forger does. So a restored copy is read-only, until it is shown
to be no older than what was published.

Until all is checked the database has another name, and a file that no server opens has its own. What gives
the database its name is the last step, so that a power cut before it leaves nothing that serves.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from indelible.log.keyring import Keyring
from indelible.log.publish import checkpoint_key, load_published
from indelible.log.submission import witnessed_key
from indelible.operate.files import copy_file, make_folder, put_in_place, refusing, sync_tree, write_file
from indelible.operate.manifest import (
    DATABASE,
    MASTER_SECRET,
    ROOT_KEY,
    Manifest,
    check_seal,
    read_manifest,
)
from indelible.operate.sites import UNFINISHED, Progress, Site
from indelible.store.base import StoreRefused
from indelible.store.bucket import existing_objects
from indelible.store.directory import MASTER_SECRET_BYTES, DataDirectory, read_secret, write_secret
from indelible.store.objects import Objects

FIRST_FINDINGS = 20
UNCHECKED = "unchecked.db"


class Restored(NamedTuple):
    """What was restored: `read_only` unless the published heads of the original were given and match."""

    deployment: str
    logs: int
    events: int
    read_only: bool


def restore(
    backup: Path, data: Path, *, master_secret: Path | None, published: Path | str | None, progress: Progress
) -> Restored:
    """Restore a backup into the new directory `data`.

    Args:
        backup: what `back_up` wrote.
        data: must not hold anything.
        master_secret: the file with the master secret, when the backup has none.
        published: the objects of the original (a folder, or s3://BUCKET/PREFIX), whose operator declares
            it dead by giving them. With them, logs that are no older than their published heads can be
            continued.
        progress: called as things go on.

    Raises:
        StoreRefused: the backup was changed, does not verify or is older than `published`, or `data` is not
            empty. Nothing is left in `data` then.
    """
    with refusing(f"{backup} could not be restored"):
        manifest, seal = read_manifest(backup)
        secret = _secret(backup, manifest, master_secret)
        check_seal(manifest, seal, secret)
        with claimed(data) as directory:
            _copy(backup, manifest, directory, progress)
            write_secret(data / MASTER_SECRET, secret)
            with Site(data, file=UNCHECKED) as site:
                keys = site.keyring()
                verify(site, keys, progress, "backup")
                if published is not None:
                    take_published(site, keys, existing_objects(str(published)), "backup")
                restored = told(site, read_only=published is None)
            if restored.read_only:
                write_file(directory.restored_marker, b"this copy was restored\n")
            sync_tree(data)
            put_in_place(data / UNCHECKED, data / DATABASE)
            return restored


def _secret(backup: Path, manifest: Manifest, given: Path | None) -> bytes:
    source = given or (backup / MASTER_SECRET if MASTER_SECRET in manifest.files else None)
    return secret_of(source, "this backup holds no secrets")


def secret_of(source: Path | None, missing: str) -> bytes:
    """Read a master secret from a file; `missing` says why one must be given.

    Raises:
        StoreRefused: no file is given, or it holds none.
    """
    if source is None:
        raise StoreRefused(f"{missing}; give the master secret with --master-secret FILE")
    if not source.is_file():
        raise StoreRefused(f"{source} is missing; give the master secret with --master-secret FILE")
    secret = read_secret(source)
    if len(secret) != MASTER_SECRET_BYTES:
        raise StoreRefused(f"{source} does not hold the {MASTER_SECRET_BYTES} bytes of a master secret")
    return secret


@contextmanager
def claimed(data: Path) -> Iterator[DataDirectory]:
    """An empty directory that no server serves; emptied again when the block fails."""
    new = not data.exists()
    if not new and (not data.is_dir() or any(data.iterdir())):
        raise StoreRefused(f"{data} is not empty; name a new directory")
    directory = DataDirectory(data)
    try:
        write_file(data / DATABASE, UNFINISHED)
        yield directory
    except BaseException:
        _clear(data, remove=new)
        raise


def _clear(data: Path, *, remove: bool) -> None:
    """Remove what was copied, the file that keeps servers away last."""
    for path in sorted(data.iterdir(), key=lambda path: path.name == DATABASE):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if remove:
        with suppress(OSError):
            data.rmdir()


def _copy(backup: Path, manifest: Manifest, directory: DataDirectory, progress: Progress) -> None:
    """Copy the files that the manifest names, and no others."""
    sizes = _sizes(backup, manifest)
    total, copied = sum(sizes.values()), 0

    def tell(step: int) -> None:
        nonlocal copied
        copied += step
        progress("copying", copied, total)

    for name, digest in manifest.files.items():
        if name == MASTER_SECRET:
            continue
        target = directory.path / (UNCHECKED if name == DATABASE else name)
        if name == ROOT_KEY:
            read_secret(backup / name)  # refused when others can read it
        if copy_file(backup / name, target, tell) != digest:
            raise StoreRefused(f"{name} in the backup was changed; use another backup")
    make_folder(directory.objects)


def _sizes(backup: Path, manifest: Manifest) -> Mapping[str, int]:
    sizes = {}
    for name in manifest.files:
        path = backup / name
        if not path.is_file() or path.is_symlink():
            raise StoreRefused(f"{name} in the backup is missing; use another backup")
        sizes[name] = path.stat().st_size
    return sizes


def verify(site: Site, keys: Keyring, progress: Progress, source: str) -> None:
    """Recompute all of a copy that was made from a `source` (backup or archive).

    Raises:
        StoreRefused: it does not verify; the text lists what was found.
    """
    damage = site.database.damage()
    if damage is not None:
        raise StoreRefused(f"the database in the {source} is damaged ({damage}); use another {source}")
    findings = [
        f"log {finding.log.name} ({finding.log.log_id}), event {finding.sequence}: {finding.found}"
        for finding in site.findings(progress)
    ]
    findings += [f"log {each.log.name} ({each.log.log_id}): {each.found}" for each in site.mismatches(keys)]
    if findings:
        raise StoreRefused(f"the {source} does not verify ({len(findings)} findings):\n{_listed(findings)}")


def take_published(site: Site, keys: Keyring, theirs: Objects, source: str) -> None:
    """Put the original's checkpoints in the place of the copy's, when the copy is no older than they.

    Raises:
        StoreRefused: it is, or they are not of this deployment.
    """
    published = theirs.folders("proofs/")
    if not published:
        raise StoreRefused(
            f"{theirs.place} holds no published head of {site.deployment}: no folder proofs with any"
        )
    older = [f"log {info.name}: {found}" for info, found in site.mismatches(keys, theirs)]
    known = {str(info.log_id) for info in site.logs()}
    older += [
        f"log {log_id}: it was published and is not in the {source}"
        for log_id in sorted(set(published) - known)
    ]
    if older:
        raise StoreRefused(
            f"the {source} is older than what was published, so nothing may be continued from it; without"
            f" --published it gives a read-only copy:\n{_listed(older)}"
        )
    if not any(theirs.get(checkpoint_key(info)) for info in site.logs()):
        raise StoreRefused(f"{theirs.place} holds no published head of {site.deployment}")
    for info in site.logs():
        ours, other = (load_published(objects, keys, info) for objects in (site.objects, theirs))
        if ours is not None and (other is None or other.size < ours.size):
            raise StoreRefused(
                f"{theirs.place} is older than the {source} (log {info.name}): give the original's"
            )
        if other is not None:
            site.objects.put(checkpoint_key(info), other.note)
        cosigned = theirs.get(witnessed_key(info))
        if cosigned is not None:
            site.objects.put(witnessed_key(info), cosigned)


def told(site: Site, *, read_only: bool) -> Restored:
    """What a copy holds."""
    logs = list(site.logs())
    heads = site.reader.heads([info.key for info in logs])
    return Restored(site.deployment, len(logs), sum(head.size for head in heads.values()), read_only)


def _listed(findings: list[str]) -> str:
    more = [f"and {len(findings) - FIRST_FINDINGS} more"] if len(findings) > FIRST_FINDINGS else []
    return "\n".join(f"  {line}" for line in [*findings[:FIRST_FINDINGS], *more])
