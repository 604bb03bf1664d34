"""One view following its log: the turns in which it gets where others want it.

Any thread may want something of a follower; only its turns, one at a time, touch the instance.
"""

import time
from collections.abc import Callable

import structlog

from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.views import refusals
from indelible.views.figures import Figures
from indelible.views.folding import Folding
from indelible.views.inbox import Asked, Awaited, Inbox
from indelible.views.opening import NotNow
from indelible.views.room import Room
from indelible.views.turns import Again, Urgency
from indelible.views.types import Deployment, Follow, State

SLICE_SECONDS = 0.005
"""How long one turn goes on before others have theirs, give or take one batch or one question."""

NEAR_BATCHES = 8
"""A view that is at most this many batches behind catches up within a few turns."""

ROOM_RETRY_SECONDS = 0.02
"""How long a view waits for others to leave before it looks again."""

REST_SECONDS = 10.0
"""How long a view that had to leave stays away when nobody asks for it."""

FIRST_GUESS_BYTES = 16 << 20
"""Room that is made for a view that was never in memory, an eighth of all at most."""

BACKOFF_FIRST_SECONDS, BACKOFF_MOST_SECONDS = 0.1, 30.0

_log = structlog.get_logger("indelible.views")


class Follower:
    """A view version that follows its log."""

    def __init__(
        self,
        folding: Folding,
        head: Callable[[], int],
        room: Room,
        limits: Limits,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last_used = now()
        self.wake: Callable[[Urgency], None] = lambda _urgency: None
        self._folding = folding
        self._head = head
        self._room = room
        self._limits = limits
        self._now = now
        self._inbox = Inbox(limits.questions_per_view)
        self._wanted = False  # in memory, and following, though nobody waits
        self._must_leave = False
        self._may_leave = False
        self._end_forgets: bool | None = None  # removed; True: with what is stored
        self._is_gone = False
        self._reached = False  # this instance has been at the head
        self._attempts = 0
        self._retry_at = 0.0  # after a failure that may pass
        self._rest_until = 0.0  # after leaving, unless it is asked
        self._trouble: str | None = None

    # How it stands, from any thread

    @property
    def deployment(self) -> Deployment:
        """What it follows with."""
        return self._folding.deployment

    @property
    def resident(self) -> bool:
        """Whether it is in memory."""
        return self._folding.resident

    @property
    def is_asked(self) -> bool:
        """Whether a question waits."""
        return self._inbox.is_asked

    @property
    def is_gone(self) -> bool:
        """Whether it has been removed, with all that was to go with it."""
        return self._is_gone

    @property
    def applied(self) -> int:
        """The last event folded."""
        return self._folding.applied

    @property
    def behind(self) -> int:
        """How many events of the log it has yet to fold."""
        return max(0, self._head() - self._folding.applied)

    @property
    def figures(self) -> Figures:
        """What it has cost."""
        return self._folding.figures

    @property
    def size_hint_bytes(self) -> int:
        """What it holds in memory, or held when it was there last."""
        return self._folding.memory_bytes

    def status(self) -> Follow:
        """How it stands."""
        folding = self._folding
        return Follow(
            state=self._state(),
            applied=folding.applied,
            error=folding.error,
            memory_bytes=folding.memory_bytes if folding.resident else 0,
            resident=folding.resident,
            snapshot=folding.snapshot,
            note=self._trouble or folding.note,
        )

    def _state(self) -> State:
        folding = self._folding
        if folding.error is not None:
            return "failed"
        if folding.resident:
            return "live" if self._reached else "replaying"
        return "live" if folding.was_live and folding.snapshot is not None else "replaying"

    def refusal(self, at_least: int) -> Problem:
        """What to say when a question has waited long enough."""
        folding = self._folding
        if folding.error is not None:
            return refusals.failed(self.deployment, folding.error)
        head = max(self._head(), at_least)
        return refusals.replaying(
            self.deployment,
            applied=folding.applied,
            head=head,
            rate=folding.rate,
            note=self._trouble,
            past=folding.upto is not None,
        )

    # What others want, from any thread

    def ask(self, asked: Asked) -> None:
        """Put a question; the promise says how it went."""
        self.last_used = self._now()
        if self._inbox.put(asked):
            self.wake(Urgency.ANSWER)
        else:
            asked.promise.refuse(refusals.too_many(self.deployment, self._limits.questions_per_view))

    def await_head(self, awaited: Awaited) -> None:
        """Follow until the target is folded."""
        self.last_used = self._now()
        self._inbox.put_wait(awaited)
        self.wake(Urgency.REPLAY)

    def come(self) -> None:
        """Come into memory and follow, with no hurry."""
        self._wanted = True
        self.wake(Urgency.REPLAY)

    def leave(self) -> None:
        """Keep what is worth keeping and go out of memory."""
        self._must_leave = True
        self.wake(Urgency.FOLLOW)

    def tend(self, idle_since: float) -> None:
        """See to what time brings: a snapshot that is due, a question that still waits, idleness."""
        if not self.resident:
            if self.is_asked:
                self.wake(Urgency.ASKED)
            return
        quiet = self._reached and not self.is_asked and not self._inbox.is_awaited
        if quiet and self.last_used < idle_since:
            self._may_leave = True
        if self._may_leave or self.is_asked or self._folding.snapshot_due():
            self.wake(Urgency.FOLLOW)

    def end(self, *, forget_snapshots: bool) -> None:
        """Go for good, with all that is stored of the view, or keeping a last snapshot."""
        self._end_forgets = forget_snapshots
        self.wake(Urgency.FOLLOW)

    def interrupt(self) -> None:
        """Abort what the instance is doing."""
        self._folding.interrupt()

    def drop(self) -> None:
        """Free the instance, once no thread takes turns any more."""
        self._folding.discard()

    def refuse_all(self, problem: Callable[[], Problem]) -> None:
        """Refuse whatever waits."""
        self._inbox.refuse_all(problem)

    # Turns, on a fold thread

    def turn(self) -> Again | None:
        """Go one step; never raises. What goes wrong is tried again later, ever more slowly."""
        try:
            return self._turn()
        except NotNow as error:
            return self._back_off(str(error))
        except Exception as error:  # noqa: BLE001 - no fault may end the thread of all views
            _log.exception("view_turn_failed", view=self.deployment.view_id)
            self._folding.discard()
            return self._back_off(f"{type(error).__name__}: {error}")
        finally:
            self._report()

    def _back_off(self, trouble: str) -> Again:
        seconds = min(BACKOFF_MOST_SECONDS, BACKOFF_FIRST_SECONDS * 2**self._attempts)
        self._attempts = min(self._attempts + 1, 16)
        self._trouble = trouble
        self._retry_at = self._now() + seconds
        if not self._folding.resident:
            self._reached, self._wanted = False, True
        return Again(Urgency.REPLAY, seconds)

    def _report(self) -> None:
        if self._folding.resident:
            self._room.holds(self, self._folding.memory_bytes)
        else:
            self._room.left(self)

    def _turn(self) -> Again | None:
        if self._end_forgets is not None:
            self._end(forget=self._end_forgets)
            return None
        if self._must_leave or (self._may_leave and not self.is_asked):
            self._leave()
        if not self._folding.resident:
            again = self._open()
            if not self._folding.resident:
                return again
        self._go(self._now() + SLICE_SECONDS)
        self._tell_arrived()
        if self._folding.error is not None:
            self._tell_failed()
            return None
        if self._folding.snapshot_due() and not self.is_asked:
            self._folding.keep()
        return self._next()

    def _end(self, *, forget: bool) -> None:
        self._go(self._now() + SLICE_SECONDS)  # those who came before its end still get their answers
        self._inbox.refuse_all(lambda: refusals.ended(self.deployment))
        if not forget:
            self._folding.keep()  # whoever rolls back to this version finds it warm
        self._folding.discard()
        if forget:
            self._folding.forget()
        self._is_gone = True

    def _leave(self) -> None:
        self._must_leave = self._may_leave = self._wanted = False
        if not self._folding.resident:
            return
        self._folding.keep()
        self._folding.discard()
        self._room.left(self)
        self._reached = False
        self._rest_until = self._now() + REST_SECONDS

    def _open(self) -> Again | None:
        """Come into memory if anybody wants that and there is room."""
        if self._folding.error is not None:
            self._tell_failed()
            return None
        if not self._room.fits(self._folding.memory_bytes):
            self._give_up()
            return None
        needed = self._inbox.is_awaited or self.is_asked
        if not needed and not (self._wanted and self._room.has_spare(self._folding.memory_bytes)):
            self._wanted = False
            self._folding.look()
            return None
        not_before = self._retry_at if self.is_asked else max(self._retry_at, self._rest_until)
        wait = not_before - self._now()
        if wait > 0:
            return Again(Urgency.ASKED if self.is_asked else Urgency.REPLAY, wait)
        guess = min(FIRST_GUESS_BYTES, self._limits.resident_views_bytes // 8)
        if not self._room.admit(self, self._folding.memory_bytes or guess):
            return Again(Urgency.ASKED if self.is_asked else Urgency.REPLAY, ROOM_RETRY_SECONDS)
        self._folding.open()
        self._reached = False
        self._report()
        if self._folding.error is not None:
            self._tell_failed()
        return None

    def _give_up(self) -> None:
        """It cannot fit, even alone."""
        needs, limit = self._folding.memory_bytes, self._limits.resident_views_bytes
        self._trouble = f"it needs {needs} bytes of memory, and all resident views may take {limit}"
        self._inbox.refuse_all(lambda: refusals.no_room(self.deployment, needs, limit))

    def _tell_failed(self) -> None:
        error = self._folding.error
        assert error is not None  # noqa: S101 - the caller looked
        for each in self._inbox.take_arrived(None):
            if each.promise.take():
                each.promise.keep(self.status())
        self._inbox.refuse_questions(lambda: refusals.failed(self.deployment, error))

    def _go(self, until: float) -> None:
        """Answer what can be answered, fold what is committed, until the slice is over or nothing is left."""
        while self._folding.resident:
            if not self._answer_one() and not self._fold_one():
                return
            self._report()
            if self._must_leave or self._now() >= until:
                return

    def _answer_one(self) -> bool:
        asked = self._inbox.take_ready(self._folding.applied)
        if asked is None:
            return False
        if asked.promise.take():
            self.last_used = self._now()
            self._answer(asked)
        return True

    def _answer(self, asked: Asked) -> None:
        covered = self._folding.applied
        if covered >= self._head():
            self._arrived()  # before the answer: who asks for the status next finds it live
        try:
            answer = self._folding.answer(asked.question)
        except Problem as problem:
            asked.promise.fail(problem)
        except BaseException:
            asked.promise.fail(Problem("internal", "The question could not be put to the view."))
            raise
        else:
            asked.promise.keep((answer, covered))

    def _fold_one(self) -> bool:
        folding, head, applied = self._folding, self._head(), self._folding.applied
        if max(head, self._inbox.goal()) <= applied:
            self._arrived()
            return False
        if not folding.advance():
            if head > applied:
                raise NotNow(f"the log has {head} events and does not give number {applied + 1}")
            return False
        if folding.applied > applied:
            self._attempts, self._trouble = 0, None
        return True

    def _arrived(self) -> None:
        self._reached = self._folding.was_live = True
        self._attempts, self._trouble = 0, None

    def _tell_arrived(self) -> None:
        if not self._folding.resident:
            return
        if self._head() <= self._folding.applied:
            self._arrived()  # the slice may have ended with an answer
        for each in self._inbox.take_arrived(self._folding.applied):
            self._arrived()
            if each.promise.take():
                each.promise.keep(self.status())

    def _next(self) -> Again | None:
        if not self._folding.resident:
            # A question or a batch broke the instance: a fresh one follows.
            self._reached, self._wanted = False, True
            return Again(Urgency.ASKED if self.is_asked else Urgency.REPLAY)
        applied = self._folding.applied
        behind = self._head() - applied
        near = behind <= NEAR_BATCHES * self._limits.fold_batch_events
        if self.is_asked and (behind > 0 or self._inbox.has_ready(applied)):
            return Again(Urgency.ANSWER if near else Urgency.ASKED)
        if behind > 0:
            # What was at the head once keeps up with what comes, and does not hold back for it.
            return Again(Urgency.FOLLOW if near or self._reached else Urgency.REPLAY)
        return None
