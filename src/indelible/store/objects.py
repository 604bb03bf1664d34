"""Objects: whole files under a name, stored outside the database."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from indelible.store.durable import sync

KNOWN_FOLDERS = 65_536
_REPLACING = ".replacing"


class ObjectsUnreachable(OSError):
    """The bucket did not answer, or refused; whether the call had an effect is unknown."""


class ObjectsDiffer(Exception):
    """Under a key that is written once stand other bytes than those that belong there."""


class Objects(Protocol):
    """A bucket. Keys are relative paths of plain segments, `/` between them. Any thread may call.

    **Durability.** `put` returns when the object is on stable storage under its key; a reader sees the old
    object or the new one, whole, also after a crash. So do `create` and `replace`.

    **Failure.** Every call may raise OSError (`ObjectsUnreachable` where the bucket is on the network).
    """

    @property
    def place(self) -> str:
        """Where the bucket is, in words for an operator; without credentials."""

    @property
    def failure(self) -> str | None:
        """Why the last call that needed the bucket failed; None where it did not."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object, replacing what was there."""

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one; False when there was, which stays as it is.

        A bucket on the network may answer False for an object that this very call stored, when an answer got
        lost on the way: so whoever gets False reads and compares (`create_same`).
        """

    def replace(self, key: str, data: bytes, seen: bytes | None) -> bool:
        """Store an object in the place of `seen` (None: of nothing); False when something else stands there.

        Of several that replace what they have seen one wins, and the others are told False; but who puts the
        very bytes that won may be told True.
        """

    def get(self, key: str, version: str | None = None) -> bytes | None:
        """The object, or None; of its versions the one named, where the bucket has it, else the newest.

        So what a lock keeps is found below what was put over it; whoever asks for a version compares digests.
        """

    def start(self, key: str, length: int, version: str | None = None) -> bytes | None:
        """The first `length` bytes of an object, fewer where it is shorter, or None; versions as in `get`."""

    def version(self, key: str) -> str | None:
        """The id of the newest version, None where the bucket keeps no versions or has no such object."""

    def folders(self, prefix: str) -> list[str]:
        """The names right below a folder (`prefix` ends in `/`) that have something in them, sorted."""

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`, a whole folder ending in `/`, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""


def create_same(objects: Objects, key: str, data: bytes) -> None:
    """Store an object that is written once; where it stands already it must be the same.

    Raises:
        ObjectsDiffer: other bytes stand there.
    """
    if not objects.create(key, data) and objects.get(key) != data:
        raise ObjectsDiffer(f"{key} in {objects.place} holds something else than belongs there")


def get_exact(objects: Objects, key: str, sha256: str, version: str | None = None) -> bytes:
    """The object of this digest (hex), in the version that is named where the bucket has it.

    Raises:
        ObjectsDiffer: it is missing, or another stands there.
    """
    data = objects.get(key, version)
    if data is None:
        raise ObjectsDiffer(f"{key} is missing")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ObjectsDiffer(f"{key} was changed: it is not the object that was archived")
    return data


def check_key(key: str) -> list[str]:
    """The segments of a key; raises ValueError where it is none."""
    parts = key.split("/")
    if not all(part and not part.startswith(".") for part in parts) or "\0" in key:
        raise ValueError(f"not an object key: {key!r}")
    return parts


class LocalObjects:
    """Objects in a directory: write beside, fsync, rename or link into place, fsync the folder."""

    failure: str | None = None  # a disk that fails is told by each call

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()  # folders that this process knows to be on stable storage
        self._make_folder(root)

    @property
    def place(self) -> str:
        """See `Objects`."""
        return str(self._root)

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*check_key(key))

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

    def replace(self, key: str, data: bytes, seen: bytes | None) -> bool:
        """See `Objects`. One process at a time replaces in a directory: the lock ends with its holder."""
        path = self._path(key)
        with self._replacing():
            if self.get(key) != seen:
                return False
            self._write_beside(path, data).replace(path)
            sync(path.parent)
        return True

    @contextmanager
    def _replacing(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(self._root / _REPLACING, flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def get(self, key: str, version: str | None = None) -> bytes | None:
        """See `Objects`. A folder has no versions."""
        del version
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def start(self, key: str, length: int, version: str | None = None) -> bytes | None:
        """See `Objects`."""
        del version
        try:
            with self._path(key).open("rb") as file:
                return file.read(length)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def version(self, key: str) -> str | None:
        """See `Objects`: a directory keeps no versions."""
        self._path(key)
        return None

    def folders(self, prefix: str) -> list[str]:
        """See `Objects`."""
        folder = self._path(prefix.rstrip("/"))
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))

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
