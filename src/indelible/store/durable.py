"""Bringing what was written to stable storage."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Bring a file's contents, or the entries of a folder, to stable storage."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
