"""Stable storage that fails on demand: a shim between SQLite and the files, through apsw.

Any step of SQLite on the database or its write-ahead log can be made to fail, before or after it took
effect. That is what a disk does that is full or dying, without root and without a dying disk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import apsw

Step = Literal["write", "sync", "truncate", "read"]


@dataclass
class Disk:
    """What the disk does: `decide` is asked before each step and names an error, or None."""

    decide: Callable[[Step, str], int | None] = lambda _step, _file: None
    after: bool = False  # fail after the step took effect
    steps: list[tuple[Step, str]] = field(default_factory=list)
    synced: dict[str, bytes] = field(default_factory=dict)  # what a loss of power leaves of each file
    watch_power: bool = False

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
