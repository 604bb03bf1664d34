"""Stable storage that fails on demand: a shim between SQLite and the files, through apsw.

Any step of SQLite on the database or its write-ahead log can be made to fail, before or after it took
effect. That is what a disk does that is full or dying, without root and without a dying disk. Objects take
steps on the same disk: a file is written beside, synced, renamed into place, and the folder is synced.
"""

import errno
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw
import pytest

from indelible.store import objects
from indelible.store.durable import sync

_T = TypeVar("_T")
Step = Literal["write", "sync", "truncate", "read", "rename"]


@dataclass
class Disk:
    """What the disk does: `decide` is asked before each step and names an error, or None."""

    decide: Callable[[Step, str], int | None] = lambda _step, _file: None
    after: bool = False  # fail after the step took effect
    steps: list[tuple[Step, str]] = field(default_factory=list)
    synced: dict[str, bytes] = field(default_factory=dict)  # what a loss of power leaves of each file
    watch_power: bool = False
    objects: dict[Path, bytes] = field(default_factory=dict)  # what a loss of power leaves of them

    def heal(self) -> None:
        """Fail no more."""
        self.decide = lambda _step, _file: None
        self.after = False

    def lose_power(self, folder: Path) -> None:
        """Take back what was written to the database's files in `folder` since their last sync."""
        for path in folder.glob("indelible.db*"):
            path.write_bytes(self.synced.get(str(path), b""))
        for path in folder.glob("*-shm"):
            path.unlink()
        for path in [path for path in (folder / "objects").rglob("*") if path.is_file()]:
            if path in self.objects:
                path.write_bytes(self.objects[path])
            else:
                path.unlink()

    def step(self, step: Step, file: Path, work: Callable[[], _T]) -> _T:
        """Do a step on a file outside of SQLite, or fail before or after it, with EIO."""
        self.steps.append((step, str(file)))
        failed = self.decide(step, str(file)) is not None
        if failed and not self.after:
            raise OSError(errno.EIO, "injected", str(file))
        result = work()
        if failed:
            raise OSError(errno.EIO, "injected", str(file))
        return result

    def fail(self, step: Step, file: str, error: int, *, skip: int = 0, after: bool = False) -> None:
        """Fail each such step on a file whose name ends in `file`, from the one after `skip` on."""
        left = skip

        def decide(asked: Step, name: str) -> int | None:
            nonlocal left
            if asked != step or not name.endswith(file):
                return None
            left -= 1
            return error if left < 0 else None

        self.decide, self.after = decide, after

    def fail_at(self, number: int, error: int, *, after: bool = False) -> None:
        """Fail the step of this number (from 0) of those that write, sync or truncate, and all later ones."""
        seen = -1

        def decide(asked: Step, _name: str) -> int | None:
            nonlocal seen
            if asked == "read":
                return None
            seen += 1
            return error if seen >= number else None

        self.decide, self.after = decide, after


@contextmanager
def objects_on(disk: Disk, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Objects in directories take their steps on this disk too."""
    with patch.context() as patched:
        patched.setattr(objects, "os", _Calls(disk))
        patched.setattr(objects, "sync", functools.partial(_sync_folder, disk, sync))
        patched.setattr(Path, "replace", functools.partialmethod(_replace, disk, Path.replace))
        yield


class _Calls:
    """The calls of `os` that an object takes; all others go through."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, handle: int, data: memoryview) -> int:
        """Write."""
        return self._disk.step("write", _path_of(handle), lambda: os.write(handle, data))

    def fsync(self, handle: int) -> None:
        """Bring to stable storage."""
        self._disk.step("sync", _path_of(handle), lambda: os.fsync(handle))


def _path_of(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


def _replace(path: Path, disk: Disk, real: Callable[[Path, Path], Path], target: Path) -> Path:
    return disk.step("rename", path, lambda: real(path, target))


def _sync_folder(disk: Disk, real: Callable[[Path], None], folder: Path) -> None:
    disk.step("sync", folder, lambda: real(folder))
    if disk.watch_power and folder.is_dir():
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        disk.objects.update({path: path.read_bytes() for path in files if "objects" in path.parts})


class _File(apsw.VFSFile):
    """A file whose steps ask the disk first."""

    def __init__(self, vfs: str, name: apsw.URIFilename | str | None, flags: list[int], disk: Disk) -> None:
        super().__init__(vfs, name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def _check(self, step: Step) -> int | None:
        self._disk.steps.append((step, self._name))
        error = self._disk.decide(step, self._name)
        if error is not None and not self._disk.after:
            _raise(error)
        return error

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write."""
        error = self._check("write")
        super().xWrite(data, offset)
        if error is not None:
            _raise(error)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Bring to stable storage."""
        error = self._check("sync")
        super().xSync(flags)
        if self._disk.watch_power:
            self._disk.synced[self._name] = Path(self._name).read_bytes()
        if error is not None:
            _raise(error)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Cut."""
        error = self._check("truncate")
        super().xTruncate(newsize)
        if error is not None:
            _raise(error)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        """Read."""
        error = self._check("read")
        if error is not None:
            _raise(error)
        return super().xRead(amount, offset)


def _raise(error: int) -> None:
    found = apsw.exception_for(error)
    found.extendedresult = error  # type: ignore[attr-defined]  # the shim's way to hand on an extended code
    raise found


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "unix", makedefault=True)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Open through the shim."""
        return _File("unix", name, flags, self._disk)


@contextmanager
def failing_disk() -> Iterator[Disk]:
    """All stores opened inside stand on this disk; they must be closed inside too."""
    disk = Disk()
    vfs = _Vfs("failing", disk)
    try:
        yield disk
    finally:
        vfs.unregister()
