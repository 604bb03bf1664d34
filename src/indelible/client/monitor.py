"""Watching logs: each new head must continue the last one, and each new entry be in its place.

A URL is that of one log (whatever serves tlog-tiles there), or of a deployment, all of whose logs are then
watched that the key may read. What stood at a URL is remembered too: another log in its place is found, and
so is one that a deployment does not list any more.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from indelible.client.base import path_to
from indelible.client.continuity import Sighting, changed, compare, read_head, remember
from indelible.client.entries import read_entries, stand_at
from indelible.client.errors import HistoryChanged, NotProved, UnexpectedAnswer, Unreachable
from indelible.client.pins import PinStore
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.keys import Verifier

State = Literal["first", "same", "newer", "older", "conflict", "wrong", "unanswered"]
"""What came of one check: the first four are consistent; `wrong` is a log that breaks its own rules."""

DEPLOYMENT = "/deployment"
"""Where a deployment shows the log over all of its logs, if it has one."""


class Check(NamedTuple):
    """One look at one log. `origin` and `size` are those of the head shown, None where it was not read."""

    url: str
    state: State
    origin: str | None = None
    size: int | None = None
    entries: int = 0  # new ones that were read and found right
    code: str | None = None  # what failed, for programs
    detail: str | None = None  # the same for people
    evidence: Path | None = None


class Watch:
    """Watches what stands at one URL.

    Args:
        transport: whose URL is that of a log or of a deployment.
        pins: what is remembered.
        trusted: keys from elsewhere. When there are any, each log must be signed with one of its name.
        entries: read the new entries, and check them.
    """

    def __init__(
        self, transport: Transport, pins: PinStore, *, trusted: Sequence[Verifier] = (), entries: bool = True
    ) -> None:
        self._transport = transport
        self._pins = pins
        self._trusted = trusted
        self._entries = entries

    def round(self) -> Iterator[Check]:
        """Look at each log once.

        Raises:
            PinsUnusable: what is remembered cannot be read or kept.
        """
        try:
            logs = self._find()
        except _FAILURES as error:
            yield _failed(self._transport.url, error)
            return
        for log in logs:
            yield self._check(log)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # What there is to look at

    def _find(self) -> list[TiledLog]:
        """The log at the URL, or those of the deployment there."""
        url = self._transport.url
        alone = TiledLog(self._transport)
        if self._pins.origin_at(url) is not None:
            return [alone]
        try:
            read_head(alone.checkpoint())
        except (Problem, NotProved):
            return self._of_deployment()
        return [alone]

    def _of_deployment(self) -> list[TiledLog]:
        listed = self._list()
        url, origins = self._transport.url, {log.origin for log in listed}
        paths = [path_to("logs", log.log_id) for log in listed]
        for place, origin in self._pins.places(f"{url}/").items():
            if origin not in origins:  # it was listed once
                paths.append(place.removeprefix(url))
        self._check_count(len(paths))
        if DEPLOYMENT not in paths and self._shows(DEPLOYMENT):
            paths.append(DEPLOYMENT)
        return [TiledLog(self._transport, path) for path in paths]

    def _shows(self, path: str) -> bool:
        try:
            read_head(TiledLog(self._transport, path).checkpoint())
        except (Problem, NotProved):
            return False
        return True

    def _list(self) -> list["_Listed"]:
        """The logs that the key may read."""
        found: list[_Listed] = []
        after = ""
        while True:
            page = self._page(after)
            found += page.logs
            self._check_count(len(found))
            if page.next is None or not page.logs:
                return found
            after = page.next

    def _check_count(self, logs: int) -> None:
        """Bound what a server can make its watcher read and remember."""
        limit = DEFAULT_LIMITS.monitored_logs
        if logs > limit:
            raise UnexpectedAnswer(f"{self._transport.url} has more than {limit} logs: watch them one by one")

    def _page(self, after: str) -> "_Page":
        path = f"/logs?after={path_to(after).removeprefix('/')}" if after else "/logs"
        body = self._transport.fetch(path, most_bytes=DEFAULT_LIMITS.checked_answer_bytes)
        try:
            return msgspec.json.decode(body, type=_Page)
        except (msgspec.DecodeError, RecursionError) as error:
            url = self._transport.url
            raise UnexpectedAnswer(f"{url} shows neither a log nor a deployment: {error}") from None

    # Looking

    def _check(self, log: TiledLog) -> Check:
        head: Checkpoint | None = None
        try:
            note = log.checkpoint()
            head = read_head(note)
            self._check_place(log, head, note)
            return self._compare(log, note, head)
        except _FAILURES as error:
            return _failed(log.url, error, head)

    def _compare(self, log: TiledLog, note: bytes, head: Checkpoint) -> Check:
        trusted = self._keys_of(head)
        while True:
            sighting = compare(self._pins, log, note, trusted)
            count = self._read_new(log, sighting)
            if remember(self._pins, sighting):  # else another process was quicker
                break
        if self._pins.origin_at(log.url) != head.origin:
            self._pins.put_place(log.url, head.origin)
        return Check(log.url, sighting.state, head.origin, head.size, count)

    def _check_place(self, log: TiledLog, head: Checkpoint, note: bytes) -> None:
        origin = self._pins.origin_at(log.url)
        held = None if origin in (None, head.origin) else self._pins.read(str(origin))
        if held is not None:
            raise changed("replaced", self._pins, held, note, url=log.url)

    def _keys_of(self, head: Checkpoint) -> list[Verifier]:
        named = [key for key in self._trusted if key.name == head.origin]
        if self._trusted and not named:
            raise NotProved(f"none of the keys given is that of {head.origin}")
        return named

    def _read_new(self, log: TiledLog, sighting: Sighting) -> int:
        """Read what was added since the head that is remembered; at first sight nothing."""
        if not self._entries or sighting.held is None or sighting.state != "newer":
            return 0
        held, head = sighting.held.head, sighting.head
        read_entries(log, stand_at(log, held, head.size), head)
        return head.size - held.size


_FAILURES = (Problem, Unreachable, UnexpectedAnswer, NotProved)


def _failed(url: str, error: Exception, head: Checkpoint | None = None) -> Check:
    origin, size = (None, None) if head is None else (head.origin, head.size)
    if isinstance(error, HistoryChanged):
        return Check(
            url,
            "conflict",
            error.origin,
            size,
            0,
            f"history_changed_{error.kind}",
            str(error),
            error.evidence,
        )
    if isinstance(error, NotProved):
        return Check(url, "wrong", origin, size, 0, "not_proved", str(error))
    if isinstance(error, Problem):
        return Check(url, "unanswered", origin, size, 0, error.code.name, error.detail)
    code = "unreachable" if isinstance(error, Unreachable) else "unexpected_answer"
    return Check(url, "unanswered", origin, size, 0, code, str(error))


class _Listed(msgspec.Struct):
    log_id: str
    origin: str


class _Page(msgspec.Struct):
    logs: list[_Listed]
    next: str | None = None
