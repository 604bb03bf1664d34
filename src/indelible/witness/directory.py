"""The data directory of a witness: its key, the logs that it knows, and what it cosigned last for each.

witness-key        the private key, with its name (mode 0600)
state/logs         verifier keys of logs, one a line
state/cosigned/<SHA-256 of the origin, hex>/checkpoint     the newest, as it was cosigned
lock               held while the witness runs
"""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.cosignature import (
    CosignatureVerifier,
    Cosigner,
    cosignature_time,
    format_cosigner_key,
    parse_cosigner_key,
)
from indelible.notes.keys import SEED_BYTES, Verifier, check_key_name
from indelible.notes.note import open_note
from indelible.notes.strict import NoteError
from indelible.store.base import StoreRefused
from indelible.store.directory import read_secret, write_secret
from indelible.store.objects import LocalObjects
from indelible.witness.judge import NEVER, Last

LOGS = "logs"


class WitnessDirectory:
    """Opens the directory of a witness, or makes it with a new key.

    Raises:
        StoreRefused: it cannot be used; the text says why and what to do.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self._lock: int | None = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.cosigner = self._open(name)
            self.objects = LocalObjects(path / "state")
        except OSError as error:
            raise StoreRefused(f"{path} cannot be used as a witness's directory: {error.strerror}") from error

    def _open(self, name: str | None) -> Cosigner:
        key = self.path / "witness-key"
        if not key.exists():
            return self._make(key, name)
        if not (self.path / "state").is_dir():
            raise StoreRefused(
                f"{self.path / 'state'} is missing: without what was cosigned this key could cosign another"
                " history. Put it back, or begin with a new directory and a new key"
            )
        try:
            cosigner = parse_cosigner_key(read_secret(key).decode().strip())
        except ValueError as error:
            raise StoreRefused(f"{key} holds no witness's key: {error}") from None
        if name not in {None, cosigner.verifier.name}:
            raise StoreRefused(f"this witness is named {cosigner.verifier.name}; a name never changes")
        return cosigner

    def _make(self, key: Path, name: str | None) -> Cosigner:
        if name is None:
            raise StoreRefused(f"{self.path} holds no witness yet: name it with --name example.com/witness")
        try:
            text = format_cosigner_key(check_key_name(name), os.urandom(SEED_BYTES))
        except NoteError as error:
            raise StoreRefused(str(error)) from None
        LocalObjects(self.path / "state")  # before the key: a key without it is refused
        with suppress(FileExistsError):
            write_secret(key, f"{text}\n".encode())
        return parse_cosigner_key(read_secret(key).decode().strip())

    def lock(self) -> None:
        """Take the directory for this process; it is free again when the process ends.

        Raises:
            StoreRefused: another witness runs over it.
        """
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise StoreRefused(f"another witness runs over {self.path}") from None
        self._lock = handle

    # ------------------------------------------------------------------ logs

    def logs(self) -> list[Verifier]:
        """The keys of the logs in the list.

        Raises:
            StoreRefused: a line is no verifier key.
        """
        lines = (self.objects.get(LOGS) or b"").decode(errors="replace").splitlines()
        return parse_logs(lines, str(self.path / "state" / LOGS))

    def logs_changed(self) -> int:
        """Tells one state of the list from another."""
        try:
            return (self.path / "state" / LOGS).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def add_logs(self, new: Sequence[Verifier]) -> int:
        """Add keys to the list; returns how many are in it."""
        known = self.logs()
        known += [key for key in new if key not in known]
        self.objects.put(LOGS, "".join(f"{key.vkey}\n" for key in known).encode())
        return len(known)

    # ------------------------------------------------------------------ what was cosigned

    def cosigned(self, origin_hash: str) -> bytes | None:
        """The newest checkpoint that was cosigned for a log, by the hex SHA-256 of its origin."""
        return self.objects.get(f"cosigned/{origin_hash}/checkpoint")

    def keep(self, origin: str, note: bytes) -> None:
        """Store what is about to be answered; returns when it is on stable storage."""
        self.objects.put(f"cosigned/{origin_hash(origin)}/checkpoint", note)

    def last(self, origin: str) -> Last:
        """What was cosigned last for a log.

        Raises:
            StoreRefused: what stands there is not this witness's word: nothing may be cosigned after it.
        """
        note = self.cosigned(origin_hash(origin))
        return NEVER if note is None else read_last(note, origin, self.cosigner.verifier)


def read_last(note: bytes, origin: str, own: CosignatureVerifier) -> Last:
    """Read what a witness stored of a log.

    Raises:
        StoreRefused: it did not cosign that.
    """
    try:
        opened = open_note(note, [own])
        checkpoint = parse_checkpoint(opened.text)
        time = cosignature_time(opened.verified[0])
    except NoteError as error:
        raise StoreRefused(f"the stored checkpoint of {origin} is damaged: {error}") from None
    if checkpoint.origin != origin:
        raise StoreRefused(f"the stored checkpoint of {origin} is one of {checkpoint.origin}")
    return Last(checkpoint.size, checkpoint.root, time)


def parse_logs(lines: Sequence[str], where: str) -> list[Verifier]:
    """Read verifier keys, one a line; blank lines and those that begin with `#` say nothing.

    Raises:
        StoreRefused: a line is no verifier key.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(Verifier.parse(line.strip()))
        except NoteError as error:
            raise StoreRefused(f"{where}, line {number}: {error}") from None
    return found


def origin_hash(origin: str) -> str:
    """Return what names a log in a witness's paths: the SHA-256 of its origin, in hex."""
    return sha256(origin.encode()).hexdigest()
