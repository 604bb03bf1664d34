"""A data directory opened for reading only, beside a server or without one."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
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
from indelible.log.segment import SegmentError
from indelible.log.segmentrows import SegmentRows
from indelible.log.signers import Signers
from indelible.log.whole import WholeRows
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.types import LogInfo
from indelible.service.bootstrap import FIRST_KEY, NAME, first_public_key
from indelible.store.base import HeadRow, SegmentRow, StoreError, StoreRefused, StoreUnavailable
from indelible.store.bucket import open_objects
from indelible.store.databases import Database, SqliteDatabase, open_shared_database
from indelible.store.directory import ELSEWHERE, DataDirectory
from indelible.store.objects import Objects
from indelible.store.paging import log_pages

UNFINISHED = b"A restore into this directory was not finished. Delete the directory and restore again.\n"
"""What the database file holds until a restore is done: a server refuses it, as it is no database."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


class Site:
    """Reads a deployment's store without taking its lock. Use as a context manager.

    Args:
        path: the data directory.
        file: the file in it that holds the store.
        objects: where its objects are (s3://BUCKET/PREFIX, or a folder); None: in the directory.
        url: of the PostgreSQL database that holds the store instead.

    Raises:
        StoreRefused: there is no store, a restore into it was not finished, or it cannot be read.
    """

    def __init__(
        self, path: Path, *, file: str = "indelible.db", objects: str | None = None, url: str | None = None
    ) -> None:
        self.database = _opened(path, file, url)
        try:
            self.directory = DataDirectory(path)
            self.objects = open_objects(objects, self.directory.objects)
            self.reader = self.database.reader
            self.segments = SegmentRows(self.objects, DEFAULT_LIMITS)
            self.events = EventReader(self.reader, self.segments)
            self.deployment = self._deployment()
        except BaseException:
            self.database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.database.close()

    def _deployment(self) -> str:
        try:
            name = self.reader.meta(NAME)
        except StoreError as error:
            raise StoreRefused(f"{self.database.place} is damaged or no database: {error}") from error
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

    def keyring(self) -> Keyring:
        """The signing keys of all logs, which open their checkpoints. Raises as `master_secret`."""
        return Keyring(self.reader, Signers(self.master_secret()), DEFAULT_LIMITS, SYSTEM_CLOCK)

    def root_at(self, info: LogInfo, size: int) -> bytes:
        """The root of a log when it had `size` events, recomputed from stored hashes."""
        return Prover(self.reader, self.events).root_at(info.key, size)

    def mismatches(self, keys: Keyring, published: Objects | None = None) -> Iterator[Mismatch]:
        """Logs whose right edge or published head does not fit what is stored.

        Heads are looked for in `published`, or in the directory's own objects.
        """
        # Or what is refused would be told on standard output, in the middle of a command's answer.
        structlog.configure(logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr))
        prover, heads = Prover(self.reader, self.events), Heads(self.reader)
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
        """Every difference in one log; what the store cannot read at all is one, and ends it.

        A segment of the archive that trimmed events cannot be read from is one, too.
        """
        reached = 0
        damaged: dict[str, Finding] = {}

        def tell(done: int) -> None:
            nonlocal reached
            reached = done
            progress(done)

        def damage(segment: SegmentRow, error: SegmentError) -> None:
            damaged[segment.key] = Finding(info, segment.first, "segment", str(error))

        rows = WholeRows(self.reader, self.segments, damage)
        try:
            yield from recompute(self.reader, info, head, tell, rows=rows, watched=watched, inspect=inspect)
        except (StoreUnavailable, OSError) as error:
            yield Finding(info, reached + 1, "segment", f"it could not be examined further: {error}")
        except (StoreError, TypeError, ValueError) as error:
            yield Finding(info, reached + 1, "chunk", f"stored rows are damaged: {error}")
        yield from damaged.values()


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress("events", before + done, total)


def _opened(path: Path, file: str, url: str | None) -> Database:
    if url is None:
        _check_readable(path / file, path)
        return SqliteDatabase(path / file)
    if not path.is_dir():
        raise StoreRefused(f"{path} is no data directory; it holds the master secret of the database's logs")
    if (path / file).exists():
        raise StoreRefused(f"{path} holds a deployment in SQLite; leave out --database and DATABASE_URL")
    return open_shared_database(url)


def _check_readable(file: Path, path: Path) -> None:
    if not file.is_file() and (path / ELSEWHERE).exists():
        raise StoreRefused(
            f"the database of {path} is PostgreSQL: give its URL (--database, DATABASE_URL) where a command"
            " takes it; it is backed up with its own tools (docs/deploy.md)"
        )
    if not file.is_file():
        raise StoreRefused(f"{path} holds no store of Indelible")
    if not os.access(file, os.R_OK):
        raise StoreRefused(f"{file} cannot be read; run this as the user of the server")
    with file.open("rb") as opened:
        if opened.read(len(UNFINISHED)) == UNFINISHED:
            raise StoreRefused(f"a restore into {path} was not finished; delete it and restore again")
