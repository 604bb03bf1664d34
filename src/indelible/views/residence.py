"""All views of this process: who is in memory, who has the next turn, and who is told.

The only part that the layers above talk to. Its calls belong to the event loop that `start` ran on, except
`notify`, which may come from any thread.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import msgspec
import structlog

from indelible import telemetry
from indelible.fold.types import Answer, Compiled, Question
from indelible.model.clock import SYSTEM_CLOCK, Clock
from indelible.model.limits import Limits
from indelible.telemetry import ViewFigures
from indelible.views import figures, refusals
from indelible.views.folding import Folding
from indelible.views.follower import Follower
from indelible.views.inbox import Asked, Awaited
from indelible.views.past import Past
from indelible.views.pending import Promise
from indelible.views.ports import EventSource, Host, Objects
from indelible.views.room import Room
from indelible.views.shared_reads import SharedReads
from indelible.views.snapshots import forget_versions
from indelible.views.turns import Ticket, Turns, Urgency
from indelible.views.types import NOT_BEGUN, Deployment, Follow

PULSE_SECONDS = 0.025
"""Views follow commits at most this often; a question does not wait for it."""

TEND_SECONDS = 1.0
STOP_TURN_SECONDS = 5.0
"""How long a turn may take to notice that it was interrupted."""

RECENT_KEY = "views/recent.json"
RECENT_SECONDS = 60.0
RECENT_VIEWS = 16
"""How many of the views that were used last come into memory when the process starts."""

DISTANT_SNAPSHOTS = 10
"""A view out of memory comes back by itself when it is this many times `snapshot_every_events` behind, if
there is room to spare, so that the next question does not wait for long."""

_log = structlog.get_logger("indelible.views")


class Residence:
    """The views of one process; one of these a process.

    Views that are added before `start` come into memory when they are asked; the last used do so in the
    background. Views that are added later, freshly deployed, begin to replay at once.
    """

    def __init__(
        self,
        source: EventSource,
        objects: Objects,
        host: Host,
        load_component: Callable[[str], Compiled],
        limits: Limits,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._source = SharedReads(
            source, limits.shared_read_bytes, lambda log: len(self._by_log.get(log, ())) > 1
        )
        self._objects = objects
        self._host = host
        self._load = load_component
        self._limits = limits
        self._clock = clock
        self._room = Room(limits.resident_views_bytes, telemetry.resident_views_bytes.set)
        self._turns = Turns(limits.fold_threads, limits.fold_threads_reserve)
        self._followers: dict[tuple[str, int], Follower] = {}
        self._by_log: dict[int, list[Follower]] = {}
        self._leaving: set[Follower] = set()
        self._past = Past(self._make_past, limits)
        self._dirty: set[int] = set()
        self._armed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._recent: list[tuple[str, int]] = []

    # The life of the process

    def start(self) -> None:
        """Begin to follow; to be called on the event loop that all other calls will come from."""
        self._loop = asyncio.get_running_loop()
        self._turns.start()
        telemetry.views.source = self._figures
        self._tasks = [self._loop.create_task(self._warm()), self._loop.create_task(self._tend())]

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Refuse what waits, keep what is worth keeping for as long as the grace time allows, and end.

        `grace_seconds` is `stop_seconds` by default. What is not kept in time is replayed at the next start.
        """
        grace = self._limits.stop_seconds if grace_seconds is None else grace_seconds
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        end = time.monotonic() + grace
        everyone = [*self._followers.values(), *self._leaving, *self._past.everyone()]
        for follower in everyone:
            follower.refuse_all(refusals.stopping)
            follower.leave()
        while any(each.resident for each in everyone) and time.monotonic() < end:  # noqa: ASYNC110 - threads end it
            await asyncio.sleep(0.01)
        if telemetry.views.source == self._figures:
            telemetry.views.source = tuple
        for follower in everyone:
            follower.interrupt()
        if await asyncio.to_thread(self._turns.stop, STOP_TURN_SECONDS):
            for follower in everyone:
                follower.drop()
        with suppress(Exception):  # a list of favourites is not worth a failed stop
            await asyncio.to_thread(self._write_recent)

    # What there is

    def add(self, deployment: Deployment) -> None:
        """Follow with this version from now on. Adding what is there changes nothing."""
        key = (deployment.view_id, deployment.version)
        if key in self._followers:
            return
        follower = self._make(deployment)
        self._followers[key] = follower
        self._by_log.setdefault(deployment.log, []).append(follower)
        if self._loop is None:
            follower.wake(Urgency.LOOK)
        else:
            follower.come()

    def _make(self, deployment: Deployment, upto: int | None = None, *, keeps: bool = True) -> Follower:
        folding = Folding(
            deployment,
            self._source,
            self._objects,
            self._host,
            self._load,
            self._limits,
            self._clock.wall_micros,
            upto=upto,
            keeps=keeps,
        )
        source, log = self._source, deployment.log
        follower = Follower(
            folding,
            (lambda: source.committed(log)[0]) if upto is None else (lambda: upto),
            self._room,
            self._limits,
        )
        ticket = Ticket(deployment.workspace, follower.turn)
        follower.wake = lambda urgency: self._turns.wake(ticket, urgency)
        return follower

    def _make_past(self, deployment: Deployment, upto: int | None) -> Follower:
        return self._make(deployment, upto, keeps=False)

    def forget(self, view_id: str) -> None:
        """Follow no version of a view any longer, and remove what is stored of them all: it was deleted."""
        for version in [version for view, version in self._followers if view == view_id]:
            self.remove(view_id, version, forget_snapshots=True)
        for follower in self._leaving:  # or it would leave a last snapshot after the others went
            if follower.deployment.view_id == view_id:
                follower.end(forget_snapshots=True)
        self._past.forget(view_id)

    def forget_snapshots(self, view_id: str, versions: Collection[int]) -> None:
        """Remove the snapshots of retired versions. Blocking; any thread."""
        forget_versions(self._objects, view_id, versions)

    def remove(self, view_id: str, version: int, *, forget_snapshots: bool) -> None:
        """Follow no longer; what waits is to ask again. Nothing happens where there is no such version.

        It leaves a last snapshot, or with `forget_snapshots` nothing that is stored of the view at all.
        """
        follower = self._followers.pop((view_id, version), None)
        if follower is None:
            return
        log = follower.deployment.log
        rest = [each for each in self._by_log[log] if each is not follower]
        if rest:
            self._by_log[log] = rest
        else:
            del self._by_log[log]
        self._leaving.add(follower)
        follower.end(forget_snapshots=forget_snapshots)

    def versions(self) -> set[tuple[str, int]]:
        """The views and versions that are followed."""
        return set(self._followers)

    def follows(self, view_id: str, version: int) -> bool:
        """Whether a version is followed here."""
        return (view_id, version) in self._followers

    def logs(self) -> set[int]:
        """The logs that are followed."""
        return set(self._by_log)

    def status(self, view_id: str, version: int) -> Follow:
        """How far a version has come. One whose deployment is committed and not added yet has not begun."""
        follower = self._followers.get((view_id, version))
        return NOT_BEGUN if follower is None else follower.status()

    def _find(self, view_id: str, version: int) -> Follower:
        follower = self._followers.get((view_id, version))
        if follower is None:
            raise refusals.unknown()
        return follower

    # What is asked

    async def query(
        self,
        view_id: str,
        version: int,
        question: Question,
        *,
        at_least: int,
        timeout_seconds: float | None = None,
    ) -> tuple[Answer, int]:
        """Ask a view, once it covers event `at_least`; also say what the answer covers.

        The view receives one more fact, `at-sequence`, the last event folded. `timeout_seconds` bounds the
        wait for the replay (default: `query_wait_seconds`); the question itself has a limit of its own.

        Raises:
            Problem: `view_failed`, `replaying`, `query_refused`, `query_failed`, `query_timeout`,
                `answer_too_large`, `saturated`, `not_found`, `stopping`.
        """
        return await self._ask(self._ready_to_ask(view_id, version), question, at_least, timeout_seconds)

    async def query_past(
        self,
        view: Deployment,
        question: Question,
        *,
        upto: int | None,
        at_least: int,
        timeout_seconds: float | None = None,
    ) -> tuple[Answer, int]:
        """Ask a version as it stood at event `upto`, exactly, or one that is not followed, at the head.

        Its replay goes on when the wait is over, as long as `views/past.py` holds it. Otherwise as `query`.
        """
        if self._stopping:
            raise refusals.stopping()
        follower = self._past.at(view, upto)
        return await self._ask(follower, question, at_least if upto is None else upto, timeout_seconds)

    async def _ask(
        self, follower: Follower, question: Question, at_least: int, timeout_seconds: float | None
    ) -> tuple[Answer, int]:
        seconds = self._limits.query_wait_seconds if timeout_seconds is None else timeout_seconds
        promise: Promise[tuple[Answer, int]] = Promise()
        follower.ask(Asked(question, at_least, promise))
        return await promise.kept(seconds, lambda: follower.refusal(at_least))

    async def caught_up(self, view_id: str, version: int) -> Follow:
        """Wait until a version has reached the head that is seen now, or has failed.

        Raises:
            Problem: `not_found`, `saturated`, `stopping`.
        """
        follower = self._ready_to_ask(view_id, version)
        promise: Promise[Follow] = Promise()
        head, _ = self._source.committed(follower.deployment.log)
        follower.await_head(Awaited(head, promise))
        return await promise.kept(None, refusals.stopping)

    def _ready_to_ask(self, view_id: str, version: int) -> Follower:
        if self._stopping:
            raise refusals.stopping()
        return self._find(view_id, version)

    # Commits

    def notify(self, log: int, _size: int) -> None:
        """Say that a log has grown. Cheap, from any thread; views follow within `PULSE_SECONDS`."""
        if log not in self._by_log:
            return
        self._dirty.add(log)
        if not self._armed and self._loop is not None:
            self._armed = True
            with suppress(RuntimeError):  # the loop is closed: nobody follows any more
                self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        assert self._loop is not None  # noqa: S101 - it has called this
        self._loop.call_later(PULSE_SECONDS, self._pulse)

    def _pulse(self) -> None:
        self._armed = False  # before the set is taken, so that no later commit goes unseen
        dirty, self._dirty = self._dirty, set()
        if self._stopping:
            return
        for log in dirty:
            for follower in self._by_log.get(log, ()):
                self._commit_seen(follower)

    def _commit_seen(self, follower: Follower) -> None:
        if follower.resident:
            follower.wake(Urgency.FOLLOW)
        elif follower.is_asked:
            follower.wake(Urgency.ASKED)
        elif self._is_distant(follower) and self._room.has_spare(follower.size_hint_bytes):
            follower.come()

    def _is_distant(self, follower: Follower) -> bool:
        head, _ = self._source.committed(follower.deployment.log)
        distance = DISTANT_SNAPSHOTS * self._limits.snapshot_every_events
        return head - follower.applied > distance and follower.status().state != "failed"

    # Housekeeping

    async def _tend(self) -> None:
        written = time.monotonic()
        while True:
            await asyncio.sleep(TEND_SECONDS)
            now = time.monotonic()
            for follower in self._followers.values():
                follower.tend(now - self._limits.view_idle_seconds)
            self._leaving = {each for each in self._leaving if not each.is_gone}
            self._past.tend()
            telemetry.view_lag_events.set(self._lag())
            if now - written >= RECENT_SECONDS:
                written = now
                await self._remember_recent()

    def _figures(self) -> Iterable[ViewFigures]:
        return figures.shown(list(self._followers.values()), self._limits.metrics_views)

    def _lag(self) -> int:
        """Events that views in memory have yet to fold."""
        return sum(each.behind for each in self._followers.values() if each.resident)

    async def _remember_recent(self) -> None:
        try:
            await asyncio.to_thread(self._write_recent)
        except Exception as error:  # noqa: BLE001 - whatever the bucket raises: it is only about warmth
            _log.warning("recent_views_not_written", reason=str(error))

    def _write_recent(self) -> None:
        used = sorted(self._followers.items(), key=lambda item: -item[1].last_used)
        recent = [key for key, follower in used if follower.applied > 0][:RECENT_VIEWS]
        if recent != self._recent:
            self._objects.put(RECENT_KEY, msgspec.json.encode(recent))
            self._recent = recent

    async def _warm(self) -> None:
        """Bring the views that were used last into memory, with no hurry."""
        try:
            data = await asyncio.to_thread(self._objects.get, RECENT_KEY)
            recent: Iterable[tuple[str, int]] = (
                msgspec.json.decode(data, type=list[tuple[str, int]]) if data is not None else ()
            )
        except Exception as error:  # noqa: BLE001 - whatever the bucket raises: it is only about warmth
            _log.warning("recent_views_not_read", reason=str(error))
            return
        for key in list(recent)[:RECENT_VIEWS]:
            follower = self._followers.get(key)
            if follower is not None and self._room.has_spare(follower.size_hint_bytes):
                follower.come()
