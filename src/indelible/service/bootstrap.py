"""The first start of a deployment: its name, its default workspace, and the first words of `_audit`."""

import asyncio
import hashlib
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from indelible.log.core import Core
from indelible.log.pending import AuditEvent, Change
from indelible.log.signers import Signers
from indelible.model.names import check_deployment_name
from indelible.model.types import ROOT_WRITER
from indelible.service.logs import LogMaker
from indelible.service.workspaces import DEFAULT_WORKSPACE, WorkspaceMaker
from indelible.store.base import Reader, Store, StoreRefused, Transaction
from indelible.store.directory import DataDirectory

NAME = "deployment"
FIRST_KEY = "first_public_key"
UNFINISHED = "restore-unfinished"
"""A database that has this value is refused: what was begun to be restored into it did not end."""
RESTORED = "restored"
"""A database that has this value is a read-only copy, whichever directory it is served with."""


def is_restored(directory: DataDirectory, reader: Reader) -> bool:
    """Whether a deployment is a read-only copy: its directory says so, or its database."""
    return directory.restored_marker.exists() or bool(reader.meta(RESTORED))


class Identity(NamedTuple):
    """Who this deployment is, for ever."""

    name: str
    public_key: bytes


def first_public_key(signers: Signers) -> bytes:
    """A public key that tells master secrets apart; it signs nothing."""
    return signers.signer("indelible").verifier.public_key


def identify(store: Store, signers: Signers, wanted: str | None) -> Identity:
    """Read who the deployment is, or fix it at first start.

    Raises:
        StoreRefused: `wanted` is another name than the stored one, or no name; the master secret is not the
            one that this store was made with; a restore into it did not end.
    """
    if store.reader.meta(UNFINISHED):
        raise StoreRefused(
            "a restore into this database was not finished: make an empty one, and restore again"
        )
    public_key = first_public_key(signers)
    stored = store.reader.meta(NAME)
    if stored is None:
        name = wanted or f"indelible-{hashlib.sha256(public_key).hexdigest()[:12]}"
        try:
            check_deployment_name(name)
        except ValueError as error:
            raise StoreRefused(str(error)) from None
        with store.transaction() as transaction:
            transaction.alone()
            stored = store.reader.meta(NAME)  # another process may have come first
            if stored is None:
                transaction.put_meta(NAME, name.encode())
                transaction.put_meta(FIRST_KEY, public_key)
                return Identity(name, public_key)
    name = stored.decode()
    if wanted is not None and wanted != name:
        raise StoreRefused(f"this deployment was named {name} at first start; a name never changes")
    if store.reader.meta(FIRST_KEY) != public_key:
        raise StoreRefused("master-secret is not the one this store was made with; put the right one back")
    return Identity(name, public_key)


async def default_workspace(core: Core, maker: LogMaker) -> int:
    """The number of the workspace `default`, which is made at first start."""
    row = core.reader.workspace_by_name(DEFAULT_WORKSPACE)
    if row is not None:
        return row.key
    workspaces = WorkspaceMaker(maker)
    audit = await asyncio.to_thread(workspaces.audit_log)

    def apply(transaction: Transaction, now: int) -> tuple[int, Sequence[AuditEvent]]:
        found = core.reader.workspace_by_name(DEFAULT_WORKSPACE)
        if found is not None:  # another process came first
            return found.key, ()
        workspace_id = uuid.UUID(bytes=core.randomness(16), version=4)
        made = workspaces.make(transaction, now, workspace_id, DEFAULT_WORKSPACE, ROOT_WRITER.bytes, audit)
        return made[0], made[2]

    key: int = await core.committer.change(Change(apply))
    return key
