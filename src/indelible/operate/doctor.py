"""Examining a deployment: what an operator should know before an examination does.

Nothing is changed, but for a scratch file that times the disk. Beside a running server it works too.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from indelible.log.alive import last_alive, noted
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.instants import MICROS_PER_SECOND, format_micros
from indelible.model.limits import DEFAULT_LIMITS
from indelible.operate.archives import archive_state, object_lock
from indelible.operate.differences import State, Verdict
from indelible.operate.sites import Site
from indelible.service.bootstrap import is_restored
from indelible.store.base import StoreError
from indelible.store.sqlite import OLDEST_SQLITE

GIB = 1 << 30
FSYNCS = 20
SLOW_FSYNC_SECONDS = 0.02
FUTURE_MICROS = 5_000_000
_OTHERS = 0o077


class Check(NamedTuple):
    """One thing examined: `look` deserves a look, `bad` must be mended; `says` tells what to do."""

    name: str
    state: State
    says: str


def examine(data: Path, objects: str | None = None, url: str | None = None) -> Iterator[Check]:
    """Examine a deployment, one check after the other.

    Args:
        data: its data directory.
        objects: where its objects are; None: in the directory.
        url: of its PostgreSQL database; None: SQLite in the directory.

    Raises:
        StoreRefused: there is no store to examine, or it cannot be read at all.
    """
    with Site(data, objects=objects, url=url) as site:
        yield Check("deployment", "ok", f"{site.deployment}, in {data}")
        for name, check in ((site.database.kind, _engine), *_CHECKS):
            try:
                state, says = check(site)
            except (StoreError, OSError) as error:
                state, says = "bad", str(error)
            yield Check(name, state, says)


def main_state(checks: list[Check]) -> State:
    """The worst state of all."""
    states = {check.state for check in checks}
    return "bad" if "bad" in states else "look" if "look" in states else "ok"


def _engine(site: Site) -> Verdict:
    facts = site.database.facts()
    return judge_sqlite(facts["version"]) if site.database.kind == "sqlite" else judge_postgresql(facts)


def judge_postgresql(facts: Mapping[str, str]) -> Verdict:
    """Whether receipts outlive the loss of the machine that this PostgreSQL runs on."""
    version, standbys = facts["version"], facts["synchronous_standby_names"]
    if facts["full_page_writes"] == "off":
        return "look", f"{version}, full_page_writes is off: a power cut can tear pages that were stored"
    if not standbys or facts["synchronous_commit"] == "local":
        alone = "a receipt means this one machine's disk; set synchronous_standby_names"
        return "look", f"{version}, no synchronous standby: {alone}"
    return "ok", f"{version}, commits wait for {standbys} ({facts['synchronous_commit']})"


def judge_sqlite(version: str) -> Verdict:
    """Whether this version of SQLite may write to a store."""
    if tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE:
        return "bad", f"{version} can corrupt a store: upgrade the package apsw"
    return "ok", version


def _permissions(site: Site) -> Verdict:
    path = site.directory.path
    names = ("master-secret", "root-key", "indelible.db", "indelible.db-wal")
    found = [name for name in names if (path / name).exists() and (path / name).stat().st_mode & _OTHERS]
    if found:
        return "bad", f"others can read {', '.join(found)}: chmod 600 them"
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        return "look", f"others can list {path}: chmod 700 it"
    return "ok", "only the owner reads secrets and events"


def _secret(site: Site) -> Verdict:
    site.master_secret()
    if (site.directory.path / "master-secret.backed-up").exists():
        return "ok", "it was backed up"
    return (
        "look",
        (
            "no backup of it is known: without it no log can go on. Run indelible backup --include-secrets"
            " and keep the copy apart from the data"
        ),
    )


def _room(site: Site) -> Verdict:
    usage = shutil.disk_usage(site.directory.path)
    return judge_room(usage.free, usage.total)


def judge_room(free: int, total: int) -> Verdict:
    """Whether `free` bytes of `total` are enough to go on for a while."""
    says = f"{free / GIB:.1f} GiB free of {total / GIB:.1f}"
    if free < GIB:
        return "bad", f"{says}: appends will be refused when the disk is full"
    return ("look" if free < total / 10 else "ok"), says


def _fsync(site: Site) -> Verdict:
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
    return judge_fsync(sorted(times)[FSYNCS // 2])


def judge_fsync(seconds: float) -> Verdict:
    """Whether stable storage that takes so long in the median is quick enough."""
    says = f"{seconds * 1e3:.2f} ms in the median of {FSYNCS}"
    if seconds > SLOW_FSYNC_SECONDS:
        return "look", f"{says}: each append waits for one; a faster disk makes it quicker"
    return "ok", says


def _database(site: Site) -> Verdict:
    damage = site.database.damage()
    if damage is not None:
        return "bad", f"it is damaged ({damage}): restore a backup"
    intact = ", structure intact" if site.database.kind == "sqlite" else ""
    return "ok", f"{site.database.size_bytes() / GIB:.2f} GiB{intact}"


def _clock(site: Site) -> Verdict:
    now = SYSTEM_CLOCK.moment()
    expected = now.wall_after(noted(site.reader))
    return judge_clock(now.wall, site.reader.newest_time(), last_alive(site.reader), expected)


def judge_clock(now: int, newest: int, alive: int, expected: int | None = None) -> Verdict:
    """Whether this clock goes with the newest event and with the last time that a server was alive.

    `expected` is what it should show by the boot clock, where the machine stayed up since.
    """
    if newest > now + FUTURE_MICROS:
        return (
            "look",
            f"an event is dated {format_micros(newest)}, ahead of this clock: times stand still until then",
        )
    trusted = max(alive, expected or 0)
    if trusted and now - trusted > DEFAULT_LIMITS.clock_forbidden_seconds * MICROS_PER_SECOND:
        says = f"it shows {format_micros(now)}, and the deployment was last alive at {format_micros(alive)}"
        return "look", f"{says}: if it is right, start the server once with --accept-clock"
    return "ok", "no event is dated in the future"


def _published(site: Site) -> Verdict:
    mismatches = list(site.mismatches(site.keyring()))
    if mismatches:
        info, found = mismatches[0]
        return "bad", f"{len(mismatches)} of the logs do not match; {info.name} ({info.log_id}): {found}"
    return "ok", f"{sum(1 for _ in site.logs())} logs match what was published"


def _restored(site: Site) -> Verdict:
    if is_restored(site.directory, site.reader):
        return "look", "restored and read-only; docs/operating.md says how to go on from it"
    return "ok", "not a restored copy"


_CHECKS: tuple[tuple[str, Callable[[Site], Verdict]], ...] = (
    ("permissions", _permissions),
    ("master secret", _secret),
    ("room", _room),
    ("fsync", _fsync),
    ("database", _database),
    ("clock", _clock),
    ("published heads", _published),
    ("copy", _restored),
    ("archive", archive_state),
    ("object lock", object_lock),
)
