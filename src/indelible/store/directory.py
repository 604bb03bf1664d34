"""The data directory of one deployment: what stands where, and the secrets that only its owner may read."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from indelible.store.base import StoreRefused
from indelible.store.durable import sync

MASTER_SECRET_BYTES = 32
_OTHERS = 0o077
ELSEWHERE = "database-elsewhere"


def other_engine(path: Path, *, elsewhere: bool) -> str | None:
    """Why a directory does not go with a database that is in it, or `elsewhere`; None where it does."""
    if elsewhere and (path / "indelible.db").exists():
        return f"{path} holds a deployment in SQLite; name another directory, or leave out --database"
    if not elsewhere and (path / ELSEWHERE).exists():
        return f"{path} belongs to a deployment in PostgreSQL; give its URL (--database, DATABASE_URL)"
    return None


class DataDirectory:
    """Paths inside a data directory, which is made at first use with mode 0700.

    indelible.db (the database) · objects/ (checkpoints, components, snapshots) · master-secret ·
    root-key · cache/ (compiled views; may be deleted) · lock

    Raises:
        StoreRefused: it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            _make(path, 0o700)
        except OSError as error:
            raise StoreRefused(f"{path} cannot be used as a data directory: {error.strerror}") from error

    @property
    def objects(self) -> Path:
        """Where objects are stored."""
        return self.path / "objects"

    @property
    def cache(self) -> Path:
        """Where compiled views are kept; it can be deleted at any time."""
        return self.path / "cache"

    @property
    def root_key(self) -> Path:
        """The file that holds the root key."""
        return self.path / "root-key"

    @property
    def elsewhere_marker(self) -> Path:
        """Present where the deployment's database is not in this directory but in PostgreSQL."""
        return self.path / ELSEWHERE

    def claim(self, *, elsewhere: bool) -> None:
        """Say once where the deployment's database is: a directory serves one deployment.

        Raises:
            StoreRefused: it was served with the other kind of database.
        """
        found = other_engine(self.path, elsewhere=elsewhere)
        if found is not None:
            raise StoreRefused(found)
        if elsewhere and not self.elsewhere_marker.exists():
            self.elsewhere_marker.touch(mode=0o600)
            sync(self.path)

    @property
    def restored_marker(self) -> Path:
        """Present in a restored copy, which is read-only until its operator declares the original dead."""
        return self.path / "restored"

    def master_secret(self, *, create: bool) -> bytes:
        """The secret that all signing keys derive from; made at first start.

        Raises:
            StoreRefused: it is missing where it must exist, has another length, or others may read it.
        """
        path = self.path / "master-secret"
        if not path.exists():
            if not create:
                raise StoreRefused(
                    f"{path} is missing: without it no head can be signed; put it back from its backup"
                )
            with suppress(FileExistsError):  # another process that shares the directory came first
                write_secret(path, secrets.token_bytes(MASTER_SECRET_BYTES))
        secret = read_secret(path)
        if len(secret) != MASTER_SECRET_BYTES:
            raise StoreRefused(
                f"{path} does not hold {MASTER_SECRET_BYTES} bytes; put it back from its backup"
            )
        return secret


def _make(path: Path, mode: int) -> None:
    """Make a folder, and those above it that are missing, each with a durable entry in the one above.

    Without that, what is fsynced inside can be lost with the folder. One that is there need not have it yet:
    the process that made it may have died. But whose parent cannot be read was made by somebody else.
    """
    if path.is_dir():
        with suppress(PermissionError):
            sync(path.parent)
        return
    _make(path.parent, 0o777)
    path.mkdir(mode=mode, exist_ok=True)
    sync(path.parent)


def write_secret(path: Path, secret: bytes) -> None:
    """Write a file that only its owner can read, durably; it must not exist.

    It appears whole or not at all: a half-written secret would stop every later start.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(beside)
    finally:
        beside.unlink()
    sync(path.parent)


def read_secret(path: Path) -> bytes:
    """Read a secret.

    Raises:
        StoreRefused: others than its owner may read it.
    """
    if path.stat().st_mode & _OTHERS:
        raise StoreRefused(f"{path} can be read by others; run: chmod 600 {path}")
    return path.read_bytes()
