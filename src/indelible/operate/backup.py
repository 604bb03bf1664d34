"""A consistent copy of a data directory, taken while a server may be writing to it.

Published checkpoints are copied first and the database after them, so that the copy's logs are never
behind the heads that stand beside them. Secrets stay out unless asked for: whoever has the master secret
can sign heads.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from indelible import __version__
from indelible.model.instants import format_micros
from indelible.operate.sites import Progress, Site
from indelible.store.base import StoreRefused
from indelible.store.directory import read_secret, write_secret
from indelible.store.sqlite import copy_database

MANIFEST = "backup.json"
SECRETS = ("master-secret", "root-key")
FOLDERS = ("proofs", "components")


def back_up(data: Path, target: Path, *, include_secrets: bool, progress: Progress) -> dict[str, object]:
    """Copy `data` to the new directory `target` and return the manifest that was written there.

    Raises:
        StoreRefused: `data` is no data directory, or `target` holds something.
    """
    if not (data / "indelible.db").is_file():
        raise StoreRefused(f"{data} holds no store of Indelible")
    if target.exists() and any(target.iterdir()):
        raise StoreRefused(f"{target} is not empty; name a new directory")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = list(_copy_objects(data / "objects", target / "objects", progress))
    copy_database(data / "indelible.db", target / "indelible.db", lambda n, of: progress("database", n, of))
    files.append("indelible.db")
    if include_secrets:
        files += _copy_secrets(data, target)
    with Site(target, secrets=False) as site:
        manifest: dict[str, object] = {
            "format": "indelible-backup/1",
            "software": __version__,
            "deployment": site.deployment,
            "taken": format_micros(time.time_ns() // 1_000),
            "secrets": include_secrets,
            "files": {name: _digest(target / name) for name in sorted(files)},
        }
    _write(target / MANIFEST, json.dumps(manifest, indent=2).encode())
    if include_secrets:
        (data / "master-secret.backed-up").touch()
    return manifest


def read_manifest(backup: Path, progress: Progress) -> dict[str, object]:
    """Read a backup's manifest and check every file that it names.

    Raises:
        StoreRefused: it is no backup, or a file is missing or another.
    """
    try:
        manifest = json.loads((backup / MANIFEST).read_bytes())
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreRefused(f"{backup} is not a backup made by indelible backup: {error}") from None
    for done, (name, digest) in enumerate(files.items()):
        path = backup / name
        inside = path.resolve().is_relative_to(backup.resolve())
        if not inside or not path.is_file() or _digest(path) != digest:
            raise StoreRefused(f"{name} in the backup is missing or was changed; use another backup")
        progress("checking files", done + 1, len(files))
    return dict(manifest)


def _copy_objects(source: Path, target: Path, progress: Progress) -> Iterator[str]:
    paths = [path for folder in FOLDERS for path in sorted((source / folder).rglob("*")) if path.is_file()]
    for done, path in enumerate(paths):
        name = path.relative_to(source)
        if name.name.startswith("."):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
        progress("objects", done + 1, len(paths))
        yield f"objects/{name.as_posix()}"


def _copy_secrets(data: Path, target: Path) -> Iterator[str]:
    for name in SECRETS:
        if (data / name).exists():
            write_secret(target / name, read_secret(data / name))
            yield name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
