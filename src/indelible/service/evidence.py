"""Evidence: a file that proves a range of a log to who trusts nobody (docs/formats.md, Evidence)."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec
import structlog

import indelible
from indelible.log.core import Core
from indelible.log.headlog import HeadProof
from indelible.log.publish import Published
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.names import HEAD_LOG
from indelible.model.types import NO_AUTH_WRITER, ROOT_WRITER, LogInfo
from indelible.notes.evidence import (
    CLOSING,
    DEPLOYMENT,
    EVENTS,
    FORMAT,
    MANIFEST,
    SIGNATURE,
    Statement,
    format_statement,
)
from indelible.service.auditing import Auditing
from indelible.service.evidence_events import WriterNames, lines_of
from indelible.service.evidence_text import VERIFY, VERIFY_REPORT
from indelible.service.proofs import describe_keys
from indelible.service.ranges import Asked, Ranges, Wanted
from indelible.service.types import Caller, EvidenceAnswer
from indelible.service.zipstream import ZipStream

_encode = msgspec.json.encode
LOOKS = 3


class Fixed(NamedTuple):
    """A range under a checkpoint that is chosen, and the proof that its head is listed, where it is."""

    asked: Asked
    listed: HeadProof | None  # in the deployment's log of heads, as it is


class Report:
    """The part of an evidence file that is about a view's answer."""

    def __init__(
        self, cover: Mapping[str, object], files: Mapping[str, Callable[[], bytes]], *, payloads: bool
    ) -> None:
        self.cover = cover
        self.payloads = payloads
        self._files = files

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The files of the answer in their order, each read when it is wanted. Blocking."""
        for name, read in self._files.items():
            yield name, read()


class _Plan(NamedTuple):
    """All that a file says is fixed before its first byte."""

    info: LogInfo
    fixed: Fixed
    audit_info: LogInfo
    audit: Published
    cover: Mapping[str, object]
    report: Report | None

    @property
    def asked(self) -> Asked:
        """The range, and the checkpoint that it stands under."""
        return self.fixed.asked

    @property
    def payloads(self) -> bool:
        """Whether the events go along: always, but with a report that was asked for without them."""
        return self.report is None or self.report.payloads


class Evidence:
    """The call on `/logs/{log}/evidence`."""

    def __init__(self, ranges: Ranges, core: Core, auditing: Auditing) -> None:
        self._ranges = ranges
        self._core = core
        self._auditing = auditing

    async def export(self, caller: Caller, log: str, wanted: Wanted, *, query: str) -> EvidenceAnswer:
        """Make the evidence of a range; `query` is the request as text. `_audit` says that it was asked.

        The checkpoint is fixed here. The file is made as it is read; an exception in the middle ends it.

        Raises:
            Problem: `not_found`, `forbidden`, `invalid_parameter`, `beyond_head`, `clock_unsure`, before
                anything is made.
        """
        info = await self._ranges.log(caller, log)
        fixed = await self.fix(info, lambda: self._ranges.find(info, wanted, newest=True))
        return await self.make(caller, info, fixed, query=query, name=f"{info.name}-events")

    async def fix(self, info: LogInfo, find: Callable[[], Awaitable[Asked]]) -> Fixed:
        """Find a range, under a checkpoint that is listed; a log that goes on may need another look.

        Nothing is listed on a read-only copy, while witnesses are away, and of the log of heads itself.
        """
        asked = await find()
        for _ in range(LOOKS if info.name != HEAD_LOG else 0):
            try:
                listed = await self._core.headlog.proof(info, asked.published.size)
            except Problem as problem:
                structlog.get_logger().warning("evidence without the deployment's proof", why=str(problem))
                break
            if listed.size == asked.published.size:
                return Fixed(asked, listed)
            asked = await find()
        return Fixed(asked, None)

    async def make(
        self,
        caller: Caller,
        info: LogInfo,
        fixed: Fixed,
        *,
        query: str,
        name: str,
        report: Report | None = None,
    ) -> EvidenceAnswer:
        """Tell `_audit`, and give the file of a range that was fixed; `name` begins the file's."""
        audit_info = self._core.reader.log_by_key(self._auditing.log_of(info.workspace))
        if audit_info is None:
            raise LookupError(f"workspace {info.workspace} has no audit log")
        await self._ranges.open(audit_info)
        asked = fixed.asked
        span, size, about = asked.span, asked.published.size, None if report is None else report.cover
        await self._auditing.evidence(caller, info, span, size, _window(asked), about)
        audit = await self._ranges.newest(audit_info)
        plan = _Plan(info, fixed, audit_info, audit, self._cover(caller, info, asked, query), report)
        which = f"{span.first}-{span.last}" if span.first <= span.last else "none"
        return EvidenceAnswer(f"{name}-{which}.zip", _in_threads(self._write(plan)))

    def _cover(self, caller: Caller, info: LogInfo, asked: Asked, query: str) -> Mapping[str, object]:
        """The cover sheet, but for the digests of the files."""
        workspace = self._core.reader.workspace_by_key(info.workspace)
        span, published = asked.span, asked.published
        return {
            "format": FORMAT,
            "software": f"indelible {indelible.__version__}",
            "deployment": self._core.deployment,
            "workspace": workspace.name if workspace else "",
            "log": {"log_id": str(info.log_id), "name": info.name, "origin": info.origin},
            "query": query,
            "basis": "received",
            "time_zone": "UTC",
            "window": _window(asked),
            "window_closed": asked.closed,
            "asked_by": {"key_id": caller.key_id, "label": self._label(caller)},
            "made": format_micros(self._core.clock.wall_micros()),
            "events": span.last - span.first + 1,
            "first_sequence": span.first,
            "last_sequence": span.last,
            "gaps": 0,
            "head": {"size": published.size, "root": published.root.hex()},
        }

    def _label(self, caller: Caller) -> str:
        if uuid.UUID(bytes=caller.writer) == ROOT_WRITER:
            return "root key"
        if uuid.UUID(bytes=caller.writer) == NO_AUTH_WRITER:
            return "no key"
        row = self._core.reader.key(caller.key_id)
        return row.label if row else ""

    # ------------------------------------------------------------------ on threads

    def _write(self, plan: _Plan) -> Iterator[bytes]:
        """The file, a piece at a time; b"" where a step made no bytes yet."""
        out, info = ZipStream(), plan.info
        names = WriterNames(self._core, plan.audit_info, plan.audit.size)
        out.add("VERIFY.txt", (VERIFY + (VERIFY_REPORT if plan.report else "")).encode())
        if plan.payloads:
            lines = lines_of(self._core.events, info.key, plan.asked.span, names)
            yield from out.stream(EVENTS, lines)
            out.add(CLOSING, _encode(self._proof(plan)))
        out.add("checkpoint", plan.asked.published.note)
        out.add("keys.json", _encode({"keys": describe_keys(self._core.keys.keys(info))}))
        sequences: list[int] = []
        yield from out.stream("audit.ndjson", names.lines(info, sequences))
        out.add("audit-proof.json", _encode(self._audit_proof(plan, sequences)))
        if plan.fixed.listed is not None:
            event, size, proof = plan.fixed.listed
            out.add(DEPLOYMENT, _encode({"event": event.decode(), "size": size, "proof": proof.decode()}))
        for name, content in plan.report.files() if plan.report else ():
            yield from out.put(name, content)
        yield self._end(plan, out)

    def _end(self, plan: _Plan, out: ZipStream) -> bytes:
        files = {name: digest._asdict() for name, digest in out.files.items()}
        about = {} if plan.report is None else {"report": plan.report.cover}
        manifest = msgspec.json.format(_encode({**plan.cover, **about, "files": files}), indent=2) + b"\n"
        out.add(MANIFEST, manifest)
        out.add(SIGNATURE, self._signed(plan, manifest))
        return out.end()

    def _proof(self, plan: _Plan) -> Mapping[str, object]:
        info, (published, span, _, _), around = plan.info, plan.asked, plan.asked.around
        entries = self._core.prover.entries_of
        return {
            "origin": info.origin,
            "first": span.first,
            "last": span.last,
            "size": published.size,
            "root": published.root.hex(),
            "window": _window(plan.asked),
            "before": _hex(entries(info.key, Span(around.first, span.first - 1))),
            "after": _hex(entries(info.key, Span(span.last + 1, around.last))),
            "hashes": [one.hex() for one in self._core.prover.closing(info.key, around, published.size)],
        }

    def _audit_proof(self, plan: _Plan, sequences: list[int]) -> Mapping[str, object]:
        info, audit = plan.audit_info, plan.audit
        prove = self._core.prover.inclusion
        return {
            "origin": info.origin,
            "size": audit.size,
            "root": audit.root.hex(),
            "checkpoint": audit.note.decode(),
            "keys": describe_keys(self._core.keys.keys(info)),
            "proofs": [[one.hex() for one in prove(info.key, at - 1, audit.size)] for at in sequences],
        }

    def _signed(self, plan: _Plan, manifest: bytes) -> bytes:
        (published, span, _, _), digest = plan.asked, hashlib.sha256(manifest).hexdigest()
        origin = plan.info.origin
        statement = Statement(origin, published.size, published.root, span.first, span.last, digest)
        text = format_statement(statement)
        return self._core.keys.sign_text(plan.info, published.size, text, self._core.objects)


def _window(asked: Asked) -> Mapping[str, object] | None:
    if asked.window is None:
        return None
    low, high = (None if micros is None else format_micros(micros) for micros in asked.window)
    return {"from": low, "to": high}


def _hex(entries: list[bytes]) -> str | None:
    return entries[0].hex() if entries else None


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Make each piece on a thread, when the one before it was taken."""
    while True:
        piece = await asyncio.to_thread(next, pieces, None)
        if piece is None:
            return
        yield piece
