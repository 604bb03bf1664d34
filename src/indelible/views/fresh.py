"""Answers from fresh instances, to be attested: no view in memory and no snapshot is used.

They have threads of their own, and room of their own: so many at once, each in the memory of a view. Calls
belong to the event loop.
"""

import asyncio
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from indelible.fold.afresh import Afresh, FoldFailed
from indelible.fold.errors import Aborted, AnswerTooLarge, FoldError, GuestTrap, QueryRefused
from indelible.fold.host import Host
from indelible.fold.types import Answer, Batch, Compiled, Question, World
from indelible.log.read import EventReader, Span
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.views import refusals
from indelible.views.batches import count, pieces, to_batch
from indelible.views.folding import READ_BATCHES
from indelible.views.types import Deployment, ViewError


class FreshAnswer:
    """What a fresh instance answered. It is counted as held until nobody has it any more."""

    def __init__(self, answer: Answer, interface: str) -> None:
        self.content_type = answer.content_type
        self.body = answer.body
        self.interface = interface  # the full name of what the component exports


class FreshFolds:
    """Folds events on fresh instances, a bounded number at once."""

    def __init__(
        self, events: EventReader, host: Host, load_component: Callable[[str], Compiled], limits: Limits
    ) -> None:
        self._events = events
        self._host = host
        self._load = load_component
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.report_folds, thread_name_prefix="report")
        self._lock = threading.RLock()  # an answer may be let go of anywhere, even while it is held
        self._busy: Counter[int] = Counter()  # runs of each workspace
        self._runs: set[Afresh] = set()
        self._held_bytes = 0
        self._stopping = False

    async def answer(self, deployment: Deployment, span: Span, question: Question) -> FreshAnswer:
        """Fold the events of `span`, no others, and ask; the events must be committed.

        Raises:
            Problem: `saturated`, `rate_limited`, `stopping`, `view_failed`, `query_refused`, `query_failed`,
                `query_timeout`, `answer_too_large`.
        """
        self._take(deployment.workspace)
        work = self._threads.submit(self._fold, deployment, span, question)
        work.add_done_callback(lambda _done: self._give_back(deployment.workspace))  # whoever waits for it
        answer = await asyncio.wrap_future(work)
        self._hold(answer)
        return answer

    def stop(self) -> None:
        """Refuse new ones, and end those that run."""
        self._stopping = True
        for run in list(self._runs):
            run.stop("the server is stopping")
        self._threads.shutdown(wait=True, cancel_futures=False)

    def _take(self, workspace: int) -> None:
        limits = self._limits
        if self._stopping:
            raise refusals.stopping()
        most = limits.report_folds_per_workspace
        with self._lock:
            if self._busy[workspace] >= most:
                says = f"at most {most} answers with evidence are made at once for a workspace"
                raise Problem("rate_limited", says, limit=most, retry_after=2)
            if self._busy.total() >= limits.report_folds or self._held_bytes >= limits.report_held_bytes:
                says = "as many answers with evidence are being made as may be"
                raise Problem("saturated", says, retry_after=2)
            self._busy[workspace] += 1

    def _give_back(self, workspace: int) -> None:
        with self._lock:
            self._busy[workspace] -= 1
            self._busy += Counter()  # forgets those that have none

    def _hold(self, answer: FreshAnswer) -> None:
        size = len(answer.body)
        self._release(-size)
        weakref.finalize(answer, self._release, size)

    def _release(self, size: int) -> None:
        with self._lock:
            self._held_bytes -= size

    # ------------------------------------------------------------------ on a thread

    def _fold(self, deployment: Deployment, span: Span, question: Question) -> FreshAnswer:
        compiled = self._load(deployment.component_sha256)
        # A machine is told nothing: it has no place for it.
        facts = deployment.facts if compiled.world is World.VIEW else ()
        seconds = self._limits.report_fold_seconds
        run = Afresh(self._host, compiled, deployment.config, facts, seconds)
        self._runs.add(run)
        if self._stopping:
            run.stop("the server is stopping")
        try:
            answer = run.answer(partial(self._batches, deployment.log, span), question)
            return FreshAnswer(answer, self._host.interface(compiled))
        except FoldError as error:
            raise self._problem(deployment, error) from error
        finally:
            self._runs.discard(run)

    def _batches(self, log: int, span: Span) -> Iterator[Batch]:
        limits, at = self._limits, span.first
        while at <= span.last:
            rest = Span(at, span.last)
            enough = limits.fold_batch_events * READ_BATCHES
            read = self._events.columns(log, rest, enough, limits.fold_batch_bytes)
            for piece in pieces(read, limits.fold_batch_events, limits.fold_batch_bytes):
                yield to_batch(piece)
            at += count(read)

    def _problem(self, view: Deployment, error: FoldError) -> Problem:
        if isinstance(error, QueryRefused):
            return refusals.refused(error)
        if isinstance(error, FoldFailed):
            return refusals.failed(view, ViewError(error.sequence, str(error)))
        if isinstance(error, AnswerTooLarge):
            return refusals.too_large(self._limits.answer_bytes)
        if isinstance(error, GuestTrap):
            return refusals.trapped(view, str(error))
        if isinstance(error, Aborted) and self._stopping:
            return refusals.stopping()
        return Problem(
            "query_timeout",
            f"Folding the events for this evidence was ended: {error}. Ask with fold=window for a shorter "
            "window, or ask again; the operator can raise report_fold_seconds.",
            limit=self._limits.report_fold_seconds,
            reason=str(error),
            retry_after=5,
        )
