"""The local folder of compiled code: owner-only, never shared, filled by our own compiler and nobody else.

Code runs with the server's rights, so what is read must be what the compiler wrote: beside each file of code
lies a note with its digest, and code that does not match is as good as absent. Names carry the component's
digest and the engine's fingerprint; an upgrade of the engine leaves old files behind, harmless.
"""

import errno
import hashlib
import hmac
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from indelible.fold.engine import FINGERPRINT
from indelible.fold.types import Compiled, World

_OWNER_ONLY = 0o700
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a write fails with where a disk, or a user's part of it, is full."""


class Note(NamedTuple):
    """What the compiler found out: the world, the full names of interface and imports, the code's SHA-256."""

    world: World
    interface: str
    imports: tuple[str, ...]
    code_sha256: str


def open_folder(folder: Path) -> Path:
    """Make the folder when it is missing, and make sure that only its owner may enter.

    Raises:
        PermissionError: it belongs to somebody else.
    """
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user; compiled code is not read from there")
    if found.st_mode & 0o077:
        folder.chmod(_OWNER_ONLY)
    return folder


def code_path(folder: Path, sha256: str) -> Path:
    """Return where the code of a component lies."""
    return folder / f"{sha256}.{FINGERPRINT}.code"


def _note_path(code: Path) -> Path:
    return code.with_suffix(".json")


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` whole or not at all; what was there before is replaced."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def store(code: Path, fresh: Path, note: Note) -> None:
    """Move freshly compiled code into place, then its note."""
    fresh.replace(code)
    facts = {
        "world": note.world.value,
        "interface": note.interface,
        "imports": list(note.imports),
        "code_sha256": note.code_sha256,
    }
    write_atomically(_note_path(code), json.dumps(facts).encode())


def read_note(code: Path) -> Note | None:
    """Return the note of a file of code, or None when it is missing or unreadable."""
    try:
        facts = json.loads(_note_path(code).read_bytes())
        return Note(World(facts["world"]), facts["interface"], tuple(facts["imports"]), facts["code_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(folder: Path, sha256: str) -> Compiled | None:
    """Return the compiled form of a component when it is there and undamaged."""
    code = code_path(folder, sha256)
    note = checked_note(code)
    if note is None:
        return None
    os.utime(code)
    return Compiled(sha256, note.world, code)


def checked_note(code: Path) -> Note | None:
    """Return the note of a file of code that is there and has the digest that its note says."""
    note = read_note(code)
    try:
        fits = note is not None and hmac.compare_digest(digest_of(code), note.code_sha256)
    except OSError:
        return None
    return note if fits else None


def prune(folder: Path, limit_bytes: int, keep: Path) -> None:
    """Forget the code that was not used for longest until the rest has at most `limit_bytes`.

    Code that is open elsewhere stays mapped there. `keep` stays, whatever its size.
    """
    found = sorted((code.stat().st_mtime_ns, code.stat().st_size, code) for code in folder.glob("*.code"))
    excess = sum(size for _, size, _ in found) - limit_bytes
    for _, size, code in found:
        if excess <= 0:
            return
        if code != keep:
            drop(code)
            excess -= size


def drop(code: Path) -> None:
    """Forget a file of code and its note."""
    _note_path(code).unlink(missing_ok=True)
    code.unlink(missing_ok=True)
