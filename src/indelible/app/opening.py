"""What is opened before a server can be put together: a database, a root key, a signer's command."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress

import structlog

from indelible.config import Settings
from indelible.log.command import SignerCommand
from indelible.store.base import StoreRefused, StoreUnavailable
from indelible.store.databases import open_shared_store
from indelible.store.directory import DataDirectory, read_secret, write_secret
from indelible.store.objects import ObjectsUnreachable
from indelible.store.shared import SharedStore

RETRY_SECONDS = 5.0  # between two tries to reach the object store, or the database


async def while_unreachable(work: Callable[[], object]) -> None:
    """Do what needs the object store and the database, again and again until they answer."""
    while True:
        try:
            await asyncio.to_thread(work)
        except (ObjectsUnreachable, StoreUnavailable):
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


def open_shared(settings: Settings, directory: DataDirectory) -> SharedStore | None:
    """The database that other nodes use too; None for the embedded one.

    Raises:
        StoreRefused: the directory belongs to the other engine, the driver is not installed, or the role may
            not do what a server does.
    """
    directory.claim(elsewhere=settings.database is not None)
    if settings.database is None:
        return None
    store = open_shared_store(settings.database)
    try:
        store.check_rights()
    except BaseException:
        store.close()
        raise
    structlog.get_logger().info("database", **store.facts())
    return store


def signer_command(settings: Settings) -> SignerCommand | None:
    """The command that holds signing keys, None where they derive.

    Raises:
        StoreRefused: it cannot be used.
    """
    if settings.signer_command is None:
        return None
    try:
        return SignerCommand(settings.signer_command, settings.limits)
    except ValueError as error:
        raise StoreRefused(f"--signer-command cannot be used: {error}") from None


def root_key_digest(settings: Settings, directory: DataDirectory) -> bytes:
    """The digest of the root key, which is made at a first start.

    Raises:
        StoreRefused: the file with the key holds none.
    """
    key, path = settings.root_key, directory.root_key
    if key is None:
        if not path.exists():
            with suppress(FileExistsError):  # another node that shares the directory came first
                write_secret(path, f"ind_root_{secrets.token_hex(32)}\n".encode())
        key = read_secret(path).decode().strip()
        if len(key) < 32:  # noqa: PLR2004 - as for INDELIBLE_ROOT_KEY
            raise StoreRefused(f"{path} holds no root key; delete it to have a new one made")
    return hashlib.sha256(key.encode()).digest()
