"""A data directory opened for reading only, beside a server or without one."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from indelible.log.gate import Gate, Mismatch
from indelible.log.heads import Heads
from indelible.log.keyring import Keyring
from indelible.log.prove import Prover
from indelible.log.publish import Publisher
from indelible.log.read import EventReader
from indelible.log.recompute import Finding, Inspect, Watched, recompute
from indelible.log.signers import Signers
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.types import LogInfo
from indelible.service.bootstrap import FIRST_KEY, NAME, first_public_key
from indelible.store.base import HeadRow, StoreError, StoreRefused
from indelible.store.bucket import open_objects
from indelible.store.directory import DataDirectory
from indelible.store.objects import Objects
from indelible.store.paging import log_pages
from indelible.store.sqlite_flaws import flaws
from indelible.store.sqlite_read import SqliteReader

UNFINISHED = b"A restore into this directory was not finished. Delete the directory and restore again.\n"
"""What the database file holds until a restore is done: a server refuses it, as it is no database."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


class Site:
    """Reads a store without taking its lock. Use as a context manager.

    Args:
        path: the data directory.
        database: the file in it that holds the store.
        objects: where its objects are (s3://BUCKET/PREFIX, or a folder); None: in the directory.

    Raises:
        StoreRefused: there is no store, a restore into it was not finished, or it cannot be read.
    """

    def __init__(self, path: Path, database: str = "indelible.db", objects: str | None = None) -> None:
        file = path / database
        _check_readable(file, path)
        self.directory = DataDirectory(path)
        self.objects = open_objects(objects, self.directory.objects)
        self.database = file
        self.reader = SqliteReader(file, connections=1)
        try:
            self.deployment = self._deployment()
        except BaseException:
            self.reader.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.close()

    def _deployment(self) -> str:
        try:
            name = self.reader.meta(NAME)
        except StoreError as error:
            raise StoreRefused(f"{self.database} is damaged or no database: {error}") from error
        if name is None:
            raise StoreRefused(f"{self.directory.path} was never served")
        return name.decode()

    def master_secret(self) -> bytes:
        """The master secret, when it is the one that this store was made with.

        Raises:
            StoreRefused: it is missing, others can read it, or it is another.
        """
        secret = self.directory.master_secret(create=False)
        if self.reader.meta(FIRST_KEY) != first_public_key(Signers(secret)):
            raise StoreRefused("the master secret is not the one that this store was made with")
        return secret

    def logs(self) -> Iterator[LogInfo]:
        """All logs of all workspaces."""
        return chain.from_iterable(log_pages(self.reader))

    def damage(self) -> str | None:
        """What is wrong with the structure of the database, None when it is intact."""
        try:
            with self.reader.connection() as connection:
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        except StoreError as error:
            return str(error)
        return None if found == ["ok"] else "; ".join(found)

    def keyring(self) -> Keyring:
        """The signing keys of all logs, which open their checkpoints. Raises as `master_secret`."""
        return Keyring(self.reader, Signers(self.master_secret()), DEFAULT_LIMITS, SYSTEM_CLOCK)

    def flaws(self, limit: int) -> Iterator[str]:
        """What is wrong with the database file as such; of its structure at most `limit` things."""
        return flaws(self.reader, limit)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one moment in all that is read inside; not for long, since the server's log of pages grows."""
        with self.reader.connection() as connection:  # the only one
            connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(StoreError), self.reader.connection() as connection:
                if connection.in_transaction:  # a damaged page ends it
                    connection.execute("ROLLBACK")

    def root_at(self, info: LogInfo, size: int) -> bytes:
        """The root of a log when it had `size` events, recomputed from stored hashes."""
        return Prover(self.reader, EventReader(self.reader)).root_at(info.key, size)

    def mismatches(self, keys: Keyring, published: Objects | None = None) -> Iterator[Mismatch]:
        """Logs whose right edge or published head does not fit what is stored.

        Heads are looked for in `published`, or in the directory's own objects.
        """
        # Or what is refused would be told on standard output, in the middle of a command's answer.
        structlog.configure(logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr))
        events = EventReader(self.reader)
        prover, heads = Prover(self.reader, events), Heads(self.reader)
        objects = published or self.objects
        publisher = Publisher(self.reader, objects, heads, keys, DEFAULT_LIMITS)
        gate = Gate(self.reader, objects, keys, prover, publisher)
        for info in self.logs():
            mismatch = gate.check(info)
            if mismatch is not None:
                yield mismatch

    def findings(self, progress: Progress) -> Iterator[Finding]:
        """Every difference in every log, recomputed from payload to root."""
        logs = list(self.logs())
        heads = self.reader.heads([info.key for info in logs])
        total, before = sum(head.size for head in heads.values()), 0
        for info in logs:
            head = heads.get(info.key)
            if head is None:
                yield Finding(info, 0, "head", "it has no stored head")
                continue
            tell = partial(_tell, progress, before, total)
            yield from self.recomputed(info, head, tell)
            before += head.size

    def recomputed(
        self,
        info: LogInfo,
        head: HeadRow,
        progress: Callable[[int], None],
        *,
        watched: Sequence[Watched] = (),
        inspect: Inspect = lambda _chunk: (),
    ) -> Iterator[Finding]:
        """Every difference in one log; what the store cannot read at all is one, and ends it."""
        reached = 0

        def tell(done: int) -> None:
            nonlocal reached
            reached = done
            progress(done)

        try:
            yield from recompute(self.reader, info, head, tell, watched=watched, inspect=inspect)
        except (StoreError, TypeError, ValueError) as error:
            yield Finding(info, reached + 1, "chunk", f"stored rows are damaged: {error}")


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress("events", before + done, total)


def _check_readable(file: Path, path: Path) -> None:
    if not file.is_file() and DataDirectory(path).elsewhere_marker.exists():
        raise StoreRefused(
            f"the database of {path} is PostgreSQL, and this command is for SQLite; see docs/deploy.md"
        )
    if not file.is_file():
        raise StoreRefused(f"{path} holds no store of Indelible")
    if not os.access(file, os.R_OK):
        raise StoreRefused(f"{file} cannot be read; run this as the user of the server")
    with file.open("rb") as opened:
        if opened.read(len(UNFINISHED)) == UNFINISHED:
            raise StoreRefused(f"a restore into {path} was not finished; delete it and restore again")
