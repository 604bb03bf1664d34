"""A data directory opened for reading only, beside a server or without one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from indelible.log.gate import Gate, Mismatch
from indelible.log.heads import Heads
from indelible.log.prove import Prover
from indelible.log.publish import Publisher
from indelible.log.read import EventReader
from indelible.log.recompute import Finding, recompute
from indelible.log.signers import Signers
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.types import LogInfo
from indelible.store.base import StoreRefused
from indelible.store.directory import DataDirectory
from indelible.store.objects import LocalObjects
from indelible.store.sqlite_read import SqliteReader

PAGE = 256
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


class Site:
    """Reads a store without taking its lock. Use as a context manager.

    Raises:
        StoreRefused: there is no store, or `secrets` are asked for and cannot be read.
    """

    def __init__(self, path: Path, *, secrets: bool = True) -> None:
        if not (path / "indelible.db").is_file():
            raise StoreRefused(f"{path} holds no store of Indelible")
        self.directory = DataDirectory(path)
        self.reader = SqliteReader(path / "indelible.db", connections=1)
        name = self.reader.meta("deployment")
        if name is None:
            raise StoreRefused(f"{path} was never served")
        self.deployment = name.decode()
        self.objects = LocalObjects(self.directory.objects)
        self.signers = Signers(self.directory.master_secret(create=False)) if secrets else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.close()

    def logs(self) -> Iterator[LogInfo]:
        """All logs of all workspaces."""
        after = "0"
        while page := self.reader.logs(None, after, PAGE):
            yield from page
            after = str(page[-1].key)

    def mismatches(self) -> Iterator[Mismatch]:
        """Logs whose right edge or published head does not fit what is stored."""
        if self.signers is None:
            raise StoreRefused("the master secret is needed to check published heads")
        events = EventReader(self.reader)
        prover, heads = Prover(self.reader, events), Heads(self.reader)
        publisher = Publisher(self.reader, self.objects, heads, self.signers, DEFAULT_LIMITS)
        gate = Gate(self.reader, self.objects, self.signers, prover, publisher)
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

            def tell(done: int, before: int = before) -> None:
                progress("events", before + done, total)

            yield from recompute(self.reader, info, heads[info.key], tell)
            before += heads[info.key].size
