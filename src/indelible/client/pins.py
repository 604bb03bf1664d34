"""Pins: what a client remembers of logs, so that a changed history is found when it meets them again.

A folder with one file a log, named by the SHA-256 of its origin:

    <digest>.pin           indelible-pin/1, the verifier key first seen, a blank line, the last head as signed
    <digest>.conflict-<n>  evidence that the log's history changed
    <digest>.place         indelible-place/1, a URL, and the origin of the log that stood there (by the URL's)

Each is written beside and renamed, durable before it counts; one process at a time changes anything.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from indelible.client.errors import PinsUnusable
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import Checkpoint, open_checkpoint
from indelible.notes.keys import Verifier

_PIN = "indelible-pin/1"
_PLACE = "indelible-place/1"
_FILE_BYTES = 2 * DEFAULT_LIMITS.note_bytes  # a pin is a note and a key


class Pin(NamedTuple):
    """The last head of a log, as it was signed, and the key that it was first seen with."""

    head: Checkpoint
    verifier: Verifier
    note: bytes


def encode_pin(pin: Pin) -> bytes:
    """Return the bytes of a pin's file."""
    return f"{_PIN}\n{pin.verifier.vkey}\n\n".encode() + pin.note


def decode_pin(data: bytes) -> Pin:
    """Read a pin's file back; its note must be signed with its key.

    Raises:
        ValueError: it is none, or was damaged.
    """
    head, _, note = data.partition(b"\n\n")
    kind, _, key = head.decode().partition("\n")
    if kind != _PIN:
        raise ValueError(f"a pin begins with the line {_PIN}")
    verifier = Verifier.parse(key)
    return Pin(open_checkpoint(note, verifier)[0], verifier, note)


class PinStore:
    """Remembers heads in a folder, which is made when the first one is. Any process, any thread.

    Args:
        folder: where the files stand.
        on_first_sight: told of each log that is remembered for the first time: its key was not compared
            with anything, so it is trusted on first use.
    """

    def __init__(self, folder: Path, on_first_sight: Callable[[Pin], object] | None = None) -> None:
        self.folder = folder
        self._tell = on_first_sight

    def read(self, origin: str) -> Pin | None:
        """Return what is remembered of a log.

        Raises:
            PinsUnusable: the file cannot be read, or is damaged: then nothing may be trusted in its place.
        """
        path = self._path(origin, "pin")
        data = self._read(path)
        if data is None:
            return None
        try:
            pin = decode_pin(data)
        except ValueError as error:
            raise _damaged(path, str(error)) from None
        if pin.head.origin != origin:
            raise _damaged(path, f"it is of {pin.head.origin}")
        return pin

    def replace(self, held: Pin | None, pin: Pin) -> bool:
        """Remember `pin` in the place of `held`; False when another process was quicker: compare anew.

        Raises:
            PinsUnusable: it cannot be kept.
        """
        with self._alone():
            if self.read(pin.head.origin) != held:
                return False
            self._write(self._path(pin.head.origin, "pin"), encode_pin(pin))
        if held is None and self._tell is not None:
            self._tell(pin)
        return True

    def keep_conflict(self, origin: str, pinned: bytes, seen: bytes, text: bytes) -> Path:
        """Write evidence to a file of its own; the same two notes again, or too many: a file that is there.

        Raises:
            PinsUnusable: it cannot be written.
        """
        with self._alone():
            kept = self.conflicts(origin)
            for path in kept:
                data = path.read_bytes()
                if pinned in data and seen in data:
                    return path
            if len(kept) >= DEFAULT_LIMITS.pin_conflicts:
                return kept[-1]
            path = self._path(origin, f"conflict-{len(kept) + 1}")
            self._write(path, text)
            return path

    def conflicts(self, origin: str) -> list[Path]:
        """The files of evidence about a log, oldest first."""
        numbers = range(1, DEFAULT_LIMITS.pin_conflicts + 1)
        paths = [self._path(origin, f"conflict-{number}") for number in numbers]
        return [path for path in paths if path.exists()]

    def origin_at(self, url: str) -> str | None:
        """The origin of the log that stood at a URL.

        Raises:
            PinsUnusable: the file is damaged.
        """
        path = self._path(url, "place")
        data = self._read(path)
        return None if data is None else _place(path, data)[1]

    def put_place(self, url: str, origin: str) -> None:
        """Remember which log stands at a URL.

        Raises:
            PinsUnusable: it cannot be kept.
        """
        with self._alone():
            self._write(self._path(url, "place"), f"{_PLACE}\n{url}\n{origin}\n".encode())

    def places(self, prefix: str) -> dict[str, str]:
        """The remembered URLs that begin with `prefix`, each with the origin of the log that stood there.

        Raises:
            PinsUnusable: a file is damaged.
        """
        found = {}
        for path in sorted(self.folder.glob("*.place")):
            data = self._read(path)
            if data is not None:
                url, origin = _place(path, data)
                found[url] = origin
        return {url: origin for url, origin in found.items() if url.startswith(prefix)}

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"{sha256(name.encode()).hexdigest()}.{kind}"

    def _read(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                data = file.read(_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.folder, error) from None
        if len(data) > _FILE_BYTES:
            raise _damaged(path, f"it has more than {_FILE_BYTES} bytes")
        return data

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sync(self.folder)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _unusable(self.folder, error) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes and threads from changing the folder: for a few files, never for a call."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self.folder, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _place(path: Path, data: bytes) -> tuple[str, str]:
    """URL and origin of a place's file."""
    try:
        kind, url, origin, end = data.decode().split("\n")
    except ValueError:
        raise _damaged(path, "it is no place") from None
    if kind != _PLACE or end:
        raise _damaged(path, f"a place begins with the line {_PLACE}")
    return url, origin


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _damaged(path: Path, why: str) -> PinsUnusable:
    return PinsUnusable(
        f"{path} is damaged ({why}): restore it from a backup; deleting it forgets what was seen of that log"
    )


def _unusable(folder: Path, error: OSError) -> PinsUnusable:
    return PinsUnusable(f"what was seen of logs cannot be kept in {folder}: {error.strerror or error}")
