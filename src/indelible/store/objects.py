"""Objects: whole files under a name, stored outside the database."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from indelible.store.durable import sync

KNOWN_FOLDERS = 65_536


class Objects(Protocol):
    """A bucket. Keys are relative paths of plain segments, `/` between them.

    **Durability.** `put` returns when the object is on stable storage under its key; a reader sees the old
    object or the new one, whole, also after a crash.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store an object, replacing what was there."""

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one; False when there was, which stays as it is."""

    def get(self, key: str) -> bytes | None:
        """The object, or None."""

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`, a whole folder ending in `/`, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""


class LocalObjects:
    """Objects in a directory: write beside, fsync, rename or link into place, fsync the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()  # folders that this process knows to be on stable storage
        self._make_folder(root)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(part and not part.startswith(".") for part in parts) or "\0" in key:
            raise ValueError(f"not an object key: {key!r}")
        return self._root.joinpath(*parts)

    def _write_beside(self, path: Path, data: bytes) -> Path:
        self._make_folder(path.parent)
        beside = path.parent / f".{path.name}.{secrets.token_hex(8)}"
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return beside

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each durable before anything is put inside.

        One that is there already may be another thread's, or that of a process that was killed, and not
        be durable yet: so each is synced once a process.
        """
        if folder in self._durable:
            return
        if folder != self._root:
            self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, parents=folder == self._root, exist_ok=True)
        sync(folder.parent)
        if len(self._durable) >= KNOWN_FOLDERS:
            self._durable.clear()
        self._durable.add(folder)

    def put(self, key: str, data: bytes) -> None:
        """See `Objects`."""
        path = self._path(key)
        self._write_beside(path, data).replace(path)
        sync(path.parent)

    def create(self, key: str, data: bytes) -> bool:
        """See `Objects`."""
        path = self._path(key)
        if path.exists():
            sync(path.parent)  # whoever made it may not have come to that yet
            return False
        beside = self._write_beside(path, data)
        try:
            path.hardlink_to(beside)
        except FileExistsError:
            created = False
        else:
            created = True
        finally:
            beside.unlink()
        sync(path.parent)
        return created

    def get(self, key: str) -> bytes | None:
        """See `Objects`."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def list(self, prefix: str) -> list[str]:
        """See `Objects`."""
        folder = self._path(prefix.rstrip("/")) if prefix.rstrip("/") else self._root
        return sorted(path.relative_to(self._root).as_posix() for path in _files(folder))

    def delete(self, key: str) -> None:
        """See `Objects`."""
        path = self._path(key)
        with suppress(FileNotFoundError, NotADirectoryError):
            if not path.is_dir():
                path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for entry in folder.rglob("*"):
        if entry.is_file() and not entry.name.startswith("."):
            yield entry
