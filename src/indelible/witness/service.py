"""Cosigning: one request a log at a time, stored before it is answered."""

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from indelible import telemetry
from indelible.notes.addcheckpoint import SIZE_TYPE
from indelible.notes.keys import Verifier
from indelible.notes.note import Note, format_note, parse_note
from indelible.store.base import StoreRefused
from indelible.witness.directory import WitnessDirectory
from indelible.witness.judge import Last, Refused, check_log, judge, take_apart

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
TEXT = "text/plain; charset=utf-8"


class Reply(NamedTuple):
    """What is answered."""

    status: int
    kind: str
    body: bytes


class WitnessService:
    """Answers add-checkpoint. The directory is locked by this process, so what it knows is what is stored.

    `seconds` is the clock, since 1970.
    """

    def __init__(
        self, directory: WitnessDirectory, always: Sequence[Verifier], seconds: Callable[[], int]
    ) -> None:
        self._directory = directory
        self._always = tuple(always)
        self._seconds = seconds
        self._last: dict[str, Last] = {}
        self._locks: dict[str, asyncio.Lock] = {}  # of logs that are known: no other makes one
        self._working: set[asyncio.Future[Reply]] = set()
        self.broken: str | None = None  # why nothing is cosigned any more
        self._listed: tuple[int, dict[str, list[Verifier]]] = (-1, {})

    async def add(self, body: bytes) -> Reply:
        """Judge a request, and cosign what only grew."""
        reply = await self._add(body)
        telemetry.witness_answers_total.labels(str(reply.status)).inc()
        return reply

    async def _add(self, body: bytes) -> Reply:
        submitted = take_apart(body)
        if isinstance(submitted, Refused):
            return _refusal(submitted)
        origin = submitted.checkpoint.origin
        refused = check_log(submitted, self.verifiers(origin))
        if isinstance(refused, Refused):
            return _refusal(refused)
        # A task of its own: the log's lock is held to the end, also when the client goes away meanwhile.
        work = asyncio.ensure_future(self._alone(origin, body))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return await asyncio.shield(work)

    async def _alone(self, origin: str, body: bytes) -> Reply:
        async with self._locks.setdefault(origin, asyncio.Lock()):
            return await asyncio.to_thread(self._cosign, origin, body)

    def _cosign(self, origin: str, body: bytes) -> Reply:
        """Judge under the log's lock, store, and only then let anybody see the cosignature."""
        if self.broken is not None:
            return Reply(500, TEXT, b"Stable storage failed under this witness; it cosigns nothing.\n")
        try:
            fit = judge(body, self.verifiers, self._last_of)
        except StoreRefused as error:
            structlog.get_logger().error("nothing is cosigned for this log", origin=origin, why=str(error))
            return Reply(500, TEXT, b"This witness cannot read what it cosigned last for that log.\n")
        if isinstance(fit, Refused):
            _log_refusal(origin, fit, body)
            return _refusal(fit)
        time = max(self._seconds(), self._last_of(origin).time)  # two statements never contradict each other
        signature = self._directory.cosigner.cosign(fit.text, time)
        if not self._kept(origin, format_note(Note(fit.text, (*fit.signatures, signature)))):
            return Reply(503, TEXT, b"This witness could not store that; try again.\n")
        self._last[origin] = Last(fit.checkpoint.size, fit.checkpoint.root, time)
        return Reply(200, TEXT, format_note(Note(fit.text, (signature,))).rpartition(b"\n\n")[2])

    def _kept(self, origin: str, note: bytes) -> bool:
        """Store, and say whether it is on stable storage; once that fails, nothing more is cosigned."""
        try:
            self._directory.keep(origin, note)
        except OSError as error:
            structlog.get_logger().error("a cosignature could not be stored", origin=origin, why=str(error))
            if error.errno not in _NO_ROOM:
                self.broken = str(error)
            return False
        return True

    def _last_of(self, origin: str) -> Last:
        last = self._last.get(origin)
        if last is None:
            last = self._last[origin] = self._directory.last(origin)
        return last

    def verifiers(self, origin: str) -> Sequence[Verifier]:
        """The trusted keys of a log; the list is read again when its file changed."""
        changed = self._directory.logs_changed()
        if changed != self._listed[0]:
            self._listed = (changed, self._read_list())
        return [key for key in self._always if key.name == origin] + self._listed[1].get(origin, [])

    def _read_list(self) -> dict[str, list[Verifier]]:
        try:
            keys = self._directory.logs()
        except StoreRefused as error:
            structlog.get_logger().error("the list of logs stays as it was", why=str(error))
            return self._listed[1]
        by_origin: dict[str, list[Verifier]] = {}
        for key in keys:
            if key not in self._always:
                by_origin.setdefault(key.name, []).append(key)
        return by_origin

    def newest(self, origin_hash: str) -> bytes | None:
        """The newest checkpoint that was cosigned for a log, for monitors."""
        return self._directory.cosigned(origin_hash)


def _refusal(refused: Refused) -> Reply:
    kind = TEXT if refused.size is None else SIZE_TYPE
    return Reply(refused.status, kind, f"{refused.why}\n".encode())


def _log_refusal(origin: str, refused: Refused, body: bytes) -> None:
    """What does not continue the log, though its key signed it, may be proof that the log misbehaves."""
    if refused.status == 422:  # noqa: PLR2004 - the one that says so
        note = parse_note(body.partition(b"\n\n")[2])
        structlog.get_logger().warning("refused to cosign", origin=origin, why=refused.why, head=note.text)
