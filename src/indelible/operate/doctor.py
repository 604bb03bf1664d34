"""Examining a data directory: what an operator should know before an examination does.

Nothing is changed, but for a scratch file that times the disk. Beside a running server it works too.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import apsw

from indelible.model.instants import format_micros
from indelible.operate.sites import Site
from indelible.store.sqlite import OLDEST_SQLITE

State = Literal["ok", "look", "bad"]
GIB = 1 << 30
FSYNCS = 20
SLOW_FSYNC_SECONDS = 0.02
FUTURE_MICROS = 5_000_000


class Check(NamedTuple):
    """One thing examined: `look` deserves a look, `bad` must be mended; `says` tells what to do."""

    name: str
    state: State
    says: str


def examine(data: Path) -> Iterator[Check]:
    """Examine a data directory, one check after the other.

    Raises:
        StoreRefused: there is no store to examine.
    """
    yield _sqlite()
    with Site(data) as site:
        yield Check("deployment", "ok", f"{site.deployment}, in {data}")
        checks: tuple[Callable[[Site], Check], ...] = (
            _permissions,
            _secret_backup,
            _room,
            _fsync,
            _database,
            _clock,
            _published,
            _restored,
        )
        for check in checks:
            yield check(site)


def _sqlite() -> Check:
    version = apsw.sqlite_lib_version()
    old = tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE
    if old:
        return Check("sqlite", "bad", f"{version} can corrupt a store: upgrade the package apsw")
    return Check("sqlite", "ok", version)


def _permissions(site: Site) -> Check:
    path = site.directory.path
    names = ("master-secret", "root-key", "indelible.db")
    open_ones = [name for name in names if (path / name).exists() and (path / name).stat().st_mode & 0o077]
    if open_ones:
        return Check("permissions", "bad", f"others can read {', '.join(open_ones)}: chmod 600 them")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Check("permissions", "look", f"others can list {path}: chmod 700 it")
    return Check("permissions", "ok", "only the owner reads secrets and events")


def _secret_backup(site: Site) -> Check:
    if (site.directory.path / "master-secret.backed-up").exists():
        return Check("master secret", "ok", "it was backed up")
    return Check(
        "master secret",
        "look",
        "no backup of it is known: without it no log can go on. Run indelible backup --include-secrets and"
        " keep the copy apart from the data",
    )


def _room(site: Site) -> Check:
    usage = shutil.disk_usage(site.directory.path)
    says = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f}"
    if usage.free < GIB:
        return Check("room", "bad", f"{says}: appends will be refused when the disk is full")
    return Check("room", "look" if usage.free < usage.total / 10 else "ok", says)


def _fsync(site: Site) -> Check:
    scratch = site.directory.path / f".doctor-{os.getpid()}"
    times = []
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(FSYNCS):
            os.pwrite(handle, b"x" * 4096, 0)
            started = time.perf_counter()
            os.fdatasync(handle)
            times.append(time.perf_counter() - started)
    finally:
        os.close(handle)
        scratch.unlink()
    median = sorted(times)[FSYNCS // 2]
    says = f"{median * 1e3:.2f} ms in the median of {FSYNCS}"
    if median > SLOW_FSYNC_SECONDS:
        return Check("fsync", "look", f"{says}: each append waits for one; a faster disk makes it quicker")
    return Check("fsync", "ok", says)


def _database(site: Site) -> Check:
    with site.reader.connection() as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    if found != ["ok"]:
        return Check("database", "bad", f"it is damaged ({found[0]}): restore a backup")
    size = (site.directory.path / "indelible.db").stat().st_size
    return Check("database", "ok", f"{size / GIB:.2f} GiB, structure intact")


def _clock(site: Site) -> Check:
    heads = site.reader.heads([info.key for info in site.logs()])
    newest = max((head.time for head in heads.values()), default=0)
    if newest > time.time_ns() // 1_000 + FUTURE_MICROS:
        return Check(
            "clock",
            "look",
            f"an event is dated {format_micros(newest)}, ahead of this clock: times stand still until then",
        )
    return Check("clock", "ok", "no event is dated in the future")


def _published(site: Site) -> Check:
    mismatches = list(site.mismatches())
    if mismatches:
        first = mismatches[0]
        return Check(
            "published heads",
            "bad",
            f"{len(mismatches)} logs do not match; {first.log.name} ({first.log.log_id}): {first.found}",
        )
    logs = sum(1 for _ in site.logs())
    return Check("published heads", "ok", f"{logs} logs match what was published")


def _restored(site: Site) -> Check:
    if site.directory.restored_marker.exists():
        return Check("copy", "look", "restored and read-only; docs/operating.md says how to go on from it")
    return Check("copy", "ok", "not a restored copy")


def main_state(checks: list[Check]) -> State:
    """The worst state of all."""
    states = {check.state for check in checks}
    return "bad" if "bad" in states else "look" if "look" in states else "ok"
