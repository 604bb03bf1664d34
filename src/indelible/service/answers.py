"""Answers that prove themselves: a view's answer as evidence, attested and with all that recomputes it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

import msgspec

from indelible.fold.machine_world import question_bytes
from indelible.fold.types import Question, World
from indelible.log.core import Core
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.types import LogInfo
from indelible.notes import report as notes
from indelible.notes.evidence import REPORT, REPORT_CONFIG, REPORT_REQUEST, REPORT_SIGNATURE, REPORT_VIEW
from indelible.notes.report import NO_ERASURES, Asked, Attestation, format_attestation, request_sha256
from indelible.service.access import Access
from indelible.service.auditing import Auditing
from indelible.service.components import Components
from indelible.service.deployments import deployment_of
from indelible.service.evidence import Evidence, Fixed, Report
from indelible.service.moments import sequence_at
from indelible.service.ranges import Asked as Range
from indelible.service.ranges import Ranges, Wanted, Window
from indelible.service.types import Caller, EvidenceAnswer
from indelible.service.views import Views
from indelible.store.base import ViewRow
from indelible.views import window
from indelible.views.fresh import FreshAnswer, FreshFolds
from indelible.views.snapshots import config_sha256

PAYLOADS = "_payloads"
"""A parameter of the host: 0 leaves the events out of the file."""


class _Told(NamedTuple):
    """Which view was asked what, and who it is made for."""

    info: LogInfo
    row: ViewRow
    asked: window.Asked
    question: Question


class Answers:
    """The call on `/logs/{log}/views/{view}/query` that wants evidence."""

    def __init__(
        self,
        access: Access,
        ranges: Ranges,
        core: Core,
        auditing: Auditing,
        views: Views,
        evidence: Evidence,
        components: Components,
        fresh: FreshFolds,
    ) -> None:
        self._access = access
        self._ranges = ranges
        self._core = core
        self._auditing = auditing
        self._views = views
        self._evidence = evidence
        self._components = components
        self._fresh = fresh

    async def export(
        self,
        caller: Caller,
        log: str,
        name: str,
        *,
        params: Sequence[tuple[str, str]],
        body: bytes,
        query: str,
    ) -> EvidenceAnswer:
        """Ask a view afresh, and make the evidence of its answer; `query` is the request as text.

        The checkpoint is fixed before the fold, and covers all that was acknowledged before the call. What is
        refused is refused before the first byte.

        Raises:
            Problem: as `Views.query` and `Evidence.export`, `rate_limited` and `saturated` where too many are
                made at once, `forbidden` where the events go along and the key may not read them.
        """
        payloads = _payloads(params)
        info = self._access.log(caller, log, "query")
        if payloads:
            self._access.need(caller, "read")
        self._access.rates.query(caller.key_id, caller.workspace)
        limit = self._core.limits.query_body_bytes
        if len(body) > limit:
            raise Problem("too_large", "the question is over the limit", limit=limit, unit="bytes")
        told = _Told(info, *self._views.prepare(caller, info, name, params, body))
        await self._ranges.open(info)
        if caller.preset == "auditor":
            await self._auditing.queried(caller, info, name, params)
            told = _Told(info, *self._views.prepare(caller, info, name, params, body))
        upto = await self._upto(told)
        fixed = await self._evidence.fix(info, self._find(told, upto))
        return await self._answer(caller, told, fixed, query, payloads=payloads)

    async def _upto(self, told: _Told) -> int | None:
        """The event that `at` stands for: the last one that is folded."""
        upto = await sequence_at(self._core, told.info, told.asked)
        if upto == 0:
            raise Problem(
                "invalid_parameter", "at is before the first event: nothing proves it", parameter="at"
            )
        return upto

    def _find(self, told: _Told, upto: int | None) -> Callable[[], Awaitable[Range]]:
        info, asked = told.info, told.asked
        if asked.fold == "window":
            return lambda: self._ranges.within(info, _window(asked))
        wanted = Wanted() if upto is None else Wanted(first=1, last=upto)
        return lambda: self._ranges.find(info, wanted, newest=True)

    async def _answer(
        self, caller: Caller, told: _Told, fixed: Fixed, query: str, *, payloads: bool
    ) -> EvidenceAnswer:
        span, size = fixed.asked.span, fixed.asked.published.size
        if told.asked.min_sequence > size:
            raise Problem("beyond_head", f"the log has {size} events", head=size)
        params, said, facts = told.question
        question = Question(params, said, (*facts, ("at-sequence", str(span.last))))
        answer = await self._fresh.answer(deployment_of(told.row, told.info), span, question)
        limit = self._core.limits.evidence_part_bytes
        if len(answer.body) > limit:
            raise Problem("answer_too_large", "the answer is too large for evidence", limit=limit)
        told = told._replace(question=question)
        report = await asyncio.to_thread(self._report, told, fixed.asked, answer, payloads=payloads)
        return await self._evidence.make(
            caller,
            told.info,
            fixed,
            query=query,
            name=f"{told.info.name}-{told.row.name}-report",
            report=report,
        )

    # ------------------------------------------------------------------ on a thread

    def _report(self, told: _Told, found: Range, answer: FreshAnswer, *, payloads: bool) -> Report:
        row, asked = told.row, _asked_of(told)
        config, request = row.config.encode(), notes.encode_asked(asked)
        said = self._attestation(told, found, answer, asked)
        signed = self._core.keys.sign_text(
            told.info, found.published.size, format_attestation(said), self._core.objects
        )
        files: dict[str, Callable[[], bytes]] = {
            REPORT_REQUEST: lambda: request,
            REPORT_CONFIG: lambda: config,
            REPORT_VIEW: lambda: self._components.read(row.component_sha256),
            REPORT: lambda: answer.body,
            REPORT_SIGNATURE: lambda: signed,
        }
        return Report(_cover(told, found.span, answer, said), files, payloads=payloads)

    def _attestation(self, told: _Told, found: Range, answer: FreshAnswer, asked: Asked) -> Attestation:
        row, published, span = told.row, found.published, found.span
        return Attestation(
            told.info.origin,
            published.size,
            published.root,
            span.first,
            span.last,
            answer.interface,
            row.component_sha256,
            config_sha256(row.config),
            request_sha256(asked),
            0,
            NO_ERASURES,
            hashlib.sha256(answer.body).hexdigest(),
            self._core.clock.wall_micros(),
        )


def _payloads(params: Sequence[tuple[str, str]]) -> bool:
    given = [value for name, value in params if name == PAYLOADS]
    if len(given) > 1:
        raise Problem("repeated_parameter", f"Give {PAYLOADS} once.", parameter=PAYLOADS)
    if given and given[0] not in {"0", "1"}:
        raise Problem(
            "invalid_parameter", f"{PAYLOADS} is 1 (with the events) or 0 (without).", parameter=PAYLOADS
        )
    return given != ["0"]


def _window(asked: window.Asked) -> Window:
    """The window as it can be proved: a bound before 1970 or after the year 9999 bounds no event."""
    low, high = asked.window_from, asked.window_to
    return (
        None if low is None or low <= 0 else low,
        None if high is None or high >= notes.OPEN_FROM_MICROS else high,
    )


def _asked_of(told: _Told) -> Asked:
    """What the guest received, as it stands in `request.json`."""
    question = told.question
    if World(told.row.world) is World.MACHINE:
        return notes.machine_asked(question_bytes(question))
    body = question.body if isinstance(question.body, str) else question.body.decode()
    return notes.view_asked(question.params, question.facts, body)


def _cover(told: _Told, span: Span, answer: FreshAnswer, said: Attestation) -> Mapping[str, object]:
    """What the cover sheet says of the report, in the server's words; the attestation binds the digests."""
    row, asked = told.row, told.asked
    low, high = (None if at is None else format_micros(at) for at in _window(asked))
    return {
        "view": row.name,
        "version": row.version,
        "builtin": row.builtin,
        "interface": said.interface,
        "view_sha256": said.view_sha256,
        "config_sha256": said.config_sha256,
        "fold": asked.fold,
        "first_sequence": span.first,
        "last_sequence": span.last,
        "window": None if low is None and high is None else {"from": low, "to": high},
        "basis": asked.basis,
        "time_zone": asked.tz,
        "content_type": answer.content_type,
        "bytes": len(answer.body),
        "rows": _rows(answer.body),
        "result_sha256": said.result_sha256,
        "attested": format_micros(said.time),
        "engine": f"wasmtime {version('wasmtime')}",
    }


class _Table(msgspec.Struct):
    rows: list[msgspec.Raw]


def _rows(body: bytes) -> int | None:
    """How many rows an answer has, where it is a table as the shipped views give it."""
    try:
        return len(msgspec.json.decode(body, type=_Table).rows)
    except (ValueError, RecursionError):
        return None
