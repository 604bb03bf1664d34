"""Bringing a backup back: checked in whole before it can serve, and read-only unless that is safe.

A backup may be older than the last head that its original published. A log continued from there would
give two heads of one size, which is what a forger does. So a restored copy is read-only, until it is shown
to be no older than what was published.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

from indelible.operate.backup import read_manifest
from indelible.operate.sites import Progress, Site
from indelible.store.base import StoreRefused
from indelible.store.directory import DataDirectory, read_secret, write_secret

FIRST_FINDINGS = 20


class Restored(NamedTuple):
    """What was restored: `read_only` unless the published heads of the original were given and match."""

    deployment: str
    logs: int
    events: int
    read_only: bool


def restore(
    backup: Path, data: Path, *, master_secret: Path | None, published: Path | None, progress: Progress
) -> Restored:
    """Restore a backup into the new directory `data`.

    Args:
        backup: what `back_up` wrote.
        data: must not hold anything.
        master_secret: the file with the master secret, when the backup has none.
        published: the `objects` directory of the original, whose operator declares it dead by giving it.
            With it, logs that are no older than their published heads can be continued.
        progress: called as things go on.

    Raises:
        StoreRefused: the backup was changed or does not verify, or `data` is not empty. Nothing can be
            served from `data` then.
    """
    manifest = read_manifest(backup, progress)
    if data.exists() and any(data.iterdir()):
        raise StoreRefused(f"{data} is not empty; name a new directory")
    directory = DataDirectory(data)
    directory.restored_marker.write_text("this copy was restored\n")
    shutil.copyfile(backup / "indelible.db", data / "indelible.db")
    if (backup / "objects").is_dir():
        shutil.copytree(backup / "objects", directory.objects)
    _place_secrets(backup, directory, master_secret, has_secrets=bool(manifest.get("secrets")))
    _verify(data, progress)
    if published is not None:
        _take_published(published, directory)
        _refuse_older(data)
        directory.restored_marker.unlink()
    with Site(data) as site:
        logs = list(site.logs())
        heads = site.reader.heads([info.key for info in logs])
        events = sum(head.size for head in heads.values())
        return Restored(site.deployment, len(logs), events, read_only=published is None)


def _place_secrets(
    backup: Path, directory: DataDirectory, master_secret: Path | None, *, has_secrets: bool
) -> None:
    source = master_secret or (backup / "master-secret" if has_secrets else None)
    if source is None:
        raise StoreRefused("this backup holds no secrets; give the master secret with --master-secret FILE")
    write_secret(directory.path / "master-secret", read_secret(source))
    if (backup / "root-key").exists():
        write_secret(directory.root_key, read_secret(backup / "root-key"))


def _verify(data: Path, progress: Progress) -> None:
    with Site(data) as site:
        findings = [
            f"log {finding.log.name} ({finding.log.log_id}), event {finding.sequence}: {finding.found}"
            for finding in site.findings(progress)
        ]
        findings += [f"log {each.log.name} ({each.log.log_id}): {each.found}" for each in site.mismatches()]
    if findings:
        listed = "\n  ".join(findings[:FIRST_FINDINGS])
        raise StoreRefused(f"the backup does not verify ({len(findings)} findings):\n  {listed}")


def _take_published(published: Path, directory: DataDirectory) -> None:
    """The original's checkpoints take the place of the backup's: they are the newer ones."""
    if not (published / "proofs").is_dir():
        raise StoreRefused(f"{published} holds no published heads (no folder proofs in it)")
    shutil.copytree(published / "proofs", directory.objects / "proofs", dirs_exist_ok=True)


def _refuse_older(data: Path) -> None:
    with Site(data) as site:
        older = [f"log {each.log.name}: {each.found}" for each in site.mismatches()]
    if older:
        listed = "\n  ".join(older[:FIRST_FINDINGS])
        raise StoreRefused(f"the backup is older than what was published, so it stays read-only:\n  {listed}")
