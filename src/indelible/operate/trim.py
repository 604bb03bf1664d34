"""Trimming a deployment: archived events that are old enough leave its database, log by log."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from indelible.log.archive_manifest import ArchiveError, Chain, archive_key, load_chain
from indelible.log.trim import Trimmer
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.instants import MICROS_PER_SECOND
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.operate.sites import Progress, Site
from indelible.service.bootstrap import is_restored
from indelible.store.base import StoreConflict, StoreError, StoreRefused
from indelible.store.databases import open_shared_store
from indelible.store.shared import SharedStore
from indelible.store.sqlite import SqliteStore


class TrimmedLog(NamedTuple):
    """What was done with a log, or would be: `events` leave, and `trimmed` have left by then.

    `size` are all that it has.
    """

    log: str
    log_id: str
    events: int
    trimmed: int
    size: int


def trim(
    data: Path,
    older_than_seconds: float,
    limits: Limits,
    progress: Progress,
    *,
    objects: str | None = None,
    url: str | None = None,
    dry_run: bool = False,
) -> list[TrimmedLog]:
    """Take archived events that are older than so many seconds out of a deployment's database.

    Args:
        data: its data directory. Where the database is SQLite no server may run on it.
        older_than_seconds: no less than idempotency keys are remembered.
        limits: those of the servers.
        progress: called as things go on.
        objects: where its objects are; None: in `data`.
        url: of its PostgreSQL, as a role that may remove events; servers may run.
        dry_run: tell what would be done.

    Raises:
        StoreRefused: nothing may be trimmed, or a segment is not as it was archived. What was trimmed before
            it was found stays so, and can be read from segments that were read back.
    """
    if older_than_seconds < limits.idempotency_seconds:
        raise StoreRefused(
            f"events must be older than idempotency keys are remembered: {limits.idempotency_seconds} s"
        )
    with Site(data, objects=objects, url=url) as site:
        chain = _chain(site)
        shared = None if url is None else open_shared_store(url)
        with closing(shared or SqliteStore(data)) as store, _alone(shared):
            now = shared.clock() if shared else SYSTEM_CLOCK.wall_micros()
            before = now - int(older_than_seconds * MICROS_PER_SECOND)
            trimmer = Trimmer(store, site.objects, site.events, limits)
            try:
                return list(_trimmed(site, trimmer, chain, before, progress, dry_run=dry_run))
            except (ArchiveError, StoreError, OSError) as error:
                raise StoreRefused(f"it could not be trimmed further: {error}") from error


@contextmanager
def _alone(shared: SharedStore | None) -> Iterator[None]:
    """Of several that trim one shared store one at a time does."""
    if shared is None:
        yield
        return
    try:
        with shared.exclusively("trim"):
            yield
    except StoreConflict:
        raise StoreRefused("another process trims this database now") from None


def _chain(site: Site) -> Chain:
    """What is archived of a deployment.

    Raises:
        StoreRefused: nothing, or not of this one; or it is a restored copy.
    """
    if is_restored(site.directory, site.reader):
        raise StoreRefused("this is a restored copy, which is left as it is")
    try:
        chain = load_chain(site.objects, archive_key(site.master_secret()))
    except (ArchiveError, OSError) as error:
        raise StoreRefused(f"the archive in {site.objects.place} cannot be relied on: {error}") from error
    if not chain.number:
        raise StoreRefused(f"nothing is archived in {site.objects.place}, so nothing can be trimmed")
    if chain.deployment != site.deployment:
        raise StoreRefused(f"{site.objects.place} holds the archive of {chain.deployment}")
    return chain


def _trimmed(
    site: Site, trimmer: Trimmer, chain: Chain, before: int, progress: Progress, *, dry_run: bool
) -> Iterator[TrimmedLog]:
    logs = list(site.logs())
    found = [(info, trimmer.reach(info, chain.logs.get(str(info.log_id)), before)) for info in logs]
    total, done = sum(reach.size - reach.trimmed for _, reach in found), 0
    for info, reach in found:
        if reach.size > reach.trimmed and not dry_run:
            tell = partial(_tell, progress, done, total)
            trimmer.trim(info, chain.logs[str(info.log_id)], reach, tell)
        done += reach.size - reach.trimmed
        yield TrimmedLog(
            info.name, str(info.log_id), reach.size - reach.trimmed, reach.size, _size(site, info)
        )


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress("events", before + done, total)


def _size(site: Site, info: LogInfo) -> int:
    head = site.reader.head(info.key)
    return head.size if head else 0
