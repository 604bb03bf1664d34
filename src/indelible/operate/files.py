"""Files that are copied, written and put in place so that a power cut leaves the old state or the new one."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from indelible.store.base import StoreError, StoreRefused
from indelible.store.durable import sync

BLOCK_BYTES = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def copy_file(source: Path, target: Path, progress: Callable[[int], None]) -> str:
    """Copy a file to a new one that only its owner reads, durably; return its SHA-256 in hex.

    Folders above `target` are made; their entries are durable after `sync_tree`. `progress` gets the bytes
    of each step.
    """
    make_folder(target.parent)
    digest = hashlib.sha256()
    with source.open("rb") as reading, os.fdopen(os.open(target, _FLAGS, 0o600), "wb") as writing:
        while block := reading.read(BLOCK_BYTES):
            digest.update(block)
            writing.write(block)
            progress(len(block))
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700)


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Write a new file that only its owner reads, durably; it appears whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, _FLAGS, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(beside, path)


def put_in_place(source: Path, target: Path) -> None:
    """Give a durable file its final name, durably, in the place of what had it."""
    source.replace(target)
    sync(target.parent)


def sync_tree(folder: Path) -> None:
    """Bring the entries of a folder, and of all folders inside it, to stable storage."""
    for inside, _, _ in os.walk(folder):
        sync(Path(inside))


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Tell a failing disk or a damaged store as `StoreRefused`, after the words `what`."""
    try:
        yield
    except StoreRefused:
        raise
    except (StoreError, OSError) as error:
        raise StoreRefused(f"{what}: {error}") from error
