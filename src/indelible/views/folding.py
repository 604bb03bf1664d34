"""One view's state: how it comes into memory, goes forward, answers, is kept, and fails.

Everything here blocks and belongs to one thread at a time. Nothing here waits, queues or retries:
`NotNow` says that the caller should come back later.
"""

import time
from collections import deque
from collections.abc import Callable

import structlog

from indelible import telemetry
from indelible.fold.errors import (
    Aborted,
    AnswerTooLarge,
    GuestError,
    GuestTrap,
    QueryRefused,
    SnapshotUnsupported,
    reason_of,
)
from indelible.fold.types import Answer, Compiled, Question
from indelible.model.limits import Limits
from indelible.views import refusals
from indelible.views.batches import count, cut, pieces, to_batch
from indelible.views.figures import Figures
from indelible.views.opening import NotNow, Opener
from indelible.views.ports import Columns, EventSource, Host, Instance, Objects
from indelible.views.snapshots import Manifest, Shelf, SnapshotRefused
from indelible.views.types import Deployment, ViewError

READ_BATCHES = 8
"""How many batches of the host are read at once, so that a stored chunk is not read for each of them."""

SNAPSHOT_SHARE = 20
"""Between two snapshots at least this many times what the last one took: 5% of the time at most."""

SNAPSHOT_RETRY_SECONDS = 30.0
"""How long a snapshot that could not be written waits for the next attempt, at least."""

MEASURE_SHARE = 100
"""Between two looks at an instance's memory this many times what the last one took: 1% of the time."""

_log = structlog.get_logger("indelible.views")


class Folding:
    """The state of one version of a view; with `upto` as it stood at that event, beyond which it never goes.

    One that does not keep writes no snapshots.
    """

    def __init__(
        self,
        deployment: Deployment,
        source: EventSource,
        objects: Objects,
        host: Host,
        load_component: Callable[[str], Compiled],
        limits: Limits,
        wall_micros: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
        *,
        upto: int | None = None,
        keeps: bool = True,
    ) -> None:
        self.deployment = deployment
        self.applied = 0  # of the instance, or else of the newest snapshot
        self.snapshot: int | None = None
        self.error: ViewError | None = None
        self.note: str | None = None
        self.memory_bytes = 0  # of the instance, or else what it held when it was last kept
        self.was_live = False
        self.rate = 0.0  # events a second, of late
        self.figures = Figures()
        self.upto = upto
        self._source = source
        self._shelf = Shelf(objects, deployment, limits)
        self._opener = Opener(deployment, source, self._shelf, host, load_component, upto)
        self._limits = limits
        self._wall_micros = wall_micros
        self._now = now
        self._world = ""
        self._instance: Instance | None = None
        self._ahead: deque[Columns] = deque()
        self._suspect: Columns | None = None  # the batch that failed
        self._found: ViewError | None = None  # where it failed when it was stepped through
        self._looked = False
        self._keeps = keeps
        self._kept_at = now()
        self._kept_took = 0.0
        self._measure_at = 0.0

    # How it stands

    @property
    def resident(self) -> bool:
        """Whether there is an instance in memory."""
        return self._instance is not None

    @property
    def dirty(self) -> bool:
        """Whether the instance holds more than the newest snapshot."""
        return self._instance is not None and self.applied > (self.snapshot or 0)

    def interrupt(self) -> None:
        """Abort what the instance is doing. The only call that other threads may make."""
        instance = self._instance
        if instance is not None:
            instance.interrupt()

    def look(self) -> None:
        """Find out what is stored, without loading it."""
        if self._looked:
            return
        failure = self._shelf.failure()
        newest = next(self._shelf.manifests(self.upto), None)
        if newest is not None and not self.resident:
            self._know(newest)
        if failure is not None and (self.upto is None or failure.sequence <= self.upto):
            self._stand_failed(failure)
        self._looked = True

    def _stand_failed(self, error: ViewError) -> None:
        """The error comes last, since others read it without a lock."""
        self.applied, self.memory_bytes = max(0, error.sequence - 1), 0
        self.error = error

    def _know(self, manifest: Manifest) -> None:
        self.memory_bytes = manifest.memory_bytes
        self.was_live = manifest.live
        self.snapshot = manifest.sequence
        self.applied = manifest.sequence

    # Coming into memory

    def open(self) -> None:
        """Bring an instance into memory, from the newest good snapshot or from nothing.

        Raises:
            NotNow: aborted.
        """
        self.look()
        if self.error is not None:
            return
        self._ahead.clear()
        self._kept_at = self._now()
        opened = self._opener.open()
        if isinstance(opened, ViewError):
            self._fail(opened)
            return
        if opened.manifest is None:
            self.applied, self.snapshot = 0, None
        else:
            self._know(opened.manifest)
        self._instance, self._world = opened.instance, opened.world
        self._measure()

    def _measure(self) -> None:
        """Find out how much memory the instance has; that is not free, so not at every batch."""
        assert self._instance is not None  # noqa: S101 - the caller has just used it
        began = self._now()
        self.memory_bytes = self._instance.memory_bytes
        done = self._now()
        self._measure_at = done + MEASURE_SHARE * (done - began)

    def discard(self) -> None:
        """Let go of the instance without keeping its state."""
        instance, self._instance = self._instance, None
        self._ahead.clear()
        if instance is not None:
            instance.close()
        self.applied = self.snapshot or 0

    # Going forward

    def advance(self) -> bool:
        """Fold one batch of what is committed; False when nothing more is.

        Afterwards there may be no instance: a batch that failed is examined on fresh ones.

        Raises:
            NotNow: aborted, and the instance is gone.
        """
        suspect = self._suspect
        if suspect is not None and self.applied == suspect.first_sequence - 1:
            self._examine(suspect)
            return True
        if suspect is not None and self.applied >= suspect.first_sequence:
            self._suspect = self._found = None  # a snapshot of another node went past it
        columns = self._next_columns()
        if columns is None:
            return False
        self._append(columns)
        return True

    def _read_ahead(self) -> None:
        limits, upto = self._limits, self.upto
        most = limits.fold_batch_events * READ_BATCHES
        if upto is not None:
            most = min(most, upto - self.applied)
        if most <= 0:
            return
        read = self._source.read(self.deployment.log, self.applied, most, limits.fold_batch_bytes)
        if count(read) and read.first_sequence != self.applied + 1:
            raise NotNow(f"the log gave event {read.first_sequence} after {self.applied}")
        if upto is not None and self.applied + count(read) > upto:
            read = cut(read, 0, upto - self.applied)  # what was stored together is given whole
        self._ahead.extend(pieces(read, limits.fold_batch_events, limits.fold_batch_bytes))

    def _next_columns(self) -> Columns | None:
        if not self._ahead:
            self._read_ahead()
        if not self._ahead:
            return None
        columns = self._ahead.popleft()
        if columns.first_sequence != self.applied + 1:  # a state that is folded wrongly looks like any other
            raise RuntimeError(f"event {columns.first_sequence} was about to be folded after {self.applied}")
        if self._suspect is not None:
            # A batch that failed is examined alone, from exactly where it began.
            before = self._suspect.first_sequence - columns.first_sequence
            if before < count(columns):
                self._ahead.clear()
                columns = cut(columns, 0, before)
        return columns

    def _append(self, columns: Columns) -> None:
        instance = self._instance
        assert instance is not None  # noqa: S101 - the follower opens before it advances
        began = self._now()
        try:
            instance.append(to_batch(columns))
        except (GuestError, GuestTrap) as error:
            view = self.deployment
            _log.warning("fold_failed", view=view.view_id, sequence=columns.first_sequence, reason=str(error))
            self._suspect = columns
            self.discard()
            return
        except Aborted as error:
            self.discard()
            raise NotNow(f"folding was aborted: {error}") from error
        self._went(columns, self._now() - began)

    def _went(self, columns: Columns, seconds: float) -> None:
        events = count(columns)
        self.applied = columns.first_sequence + events - 1
        assert self._instance is not None  # noqa: S101 - it has just folded
        self.figures.folded(events, seconds, self._instance.fuel_used)
        if self._now() >= self._measure_at:
            self._measure()
        if events >= self._limits.fold_batch_events // 2 and seconds > 0:
            now_rate = events / seconds
            self.rate = now_rate if not self.rate else 0.8 * self.rate + 0.2 * now_rate
        telemetry.fold_seconds.observe(seconds)
        telemetry.fold_events_total.inc(events)

    def _examine(self, suspect: Columns) -> None:
        """Fold a batch that failed, event by event, on a fresh instance.

        The event that fails so twice in a row is where the view failed. When none fails, the batch is folded:
        a state does not depend on where batches end.
        """
        self._ahead.clear()  # the fresh instance read it ahead again, and must not fold it twice
        self.keep()
        if self._instance is None:
            return
        found, before = self._step_through(suspect), self._found
        self._found = found
        if found is None:
            self._suspect = None
        elif before is not None and before.sequence == found.sequence:
            self._fail(found)
        elif before is not None:
            self._suspect = self._found = None
            raise NotNow("a failure did not repeat on a fresh instance")

    def _step_through(self, suspect: Columns) -> ViewError | None:
        """Fold `suspect` in single events; the instance is gone when one fails."""
        for place in range(count(suspect)):
            event = cut(suspect, place, place + 1)
            assert self._instance is not None  # noqa: S101 - it goes only on the way out
            try:
                self._instance.append(to_batch(event))
            except (GuestError, GuestTrap) as error:
                self.discard()
                return ViewError(event.first_sequence, reason_of(error))
            except Aborted as error:
                self.discard()
                raise NotNow(f"examining was aborted: {error}") from error
            self.applied = event.first_sequence
        return None

    def _fail(self, error: ViewError) -> None:
        self._suspect = self._found = None
        self.discard()
        self._stand_failed(error)
        _log.error("view_failed", view=self.deployment.view_id, sequence=error.sequence, reason=error.reason)
        self._shelf.write_failure(error)

    # Answering

    def answer(self, question: Question) -> Answer:
        """Ask the instance. Afterwards there may be none: a question that breaks one costs a restore.

        Raises:
            Problem: `query_refused`, `query_failed`, `query_timeout`, `answer_too_large`.
        """
        instance, view = self._instance, self.deployment
        assert instance is not None  # noqa: S101 - the follower opens before it asks
        covered = ("at-sequence", str(self.applied))
        asked = Question(question.params, question.body, (*question.facts, covered))
        began = self._now()
        try:
            with telemetry.query_seconds.time():
                return instance.query(asked)
        except QueryRefused as refusal:
            raise refusals.refused(refusal) from refusal
        except AnswerTooLarge as error:
            raise refusals.too_large(self._limits.answer_bytes) from error
        except GuestTrap as error:
            raise refusals.trapped(view, str(error)) from error
        except Aborted as error:
            raise refusals.too_slow(view, self._limits.query_seconds) from error
        finally:
            self.figures.answered(self._now() - began, instance.fuel_used)
            if not instance.usable:
                self.discard()

    # Being kept

    def snapshot_due(self) -> bool:
        """Whether the state should be kept now."""
        since = self._now() - self._kept_at
        if not self.dirty or not self._keeps or since < SNAPSHOT_SHARE * self._kept_took:
            return False
        new_events = self.applied - (self.snapshot or 0)
        limits = self._limits
        return new_events >= limits.snapshot_every_events or since >= limits.snapshot_every_seconds

    def keep(self) -> None:
        """Store a snapshot of what is not stored yet, if this view can be kept at all.

        A snapshot that cannot be written is tried again later; the state in memory stays as it is unless the
        guest broke on the way.
        """
        if not self.dirty or not self._keeps:
            return
        began = self._now()
        try:
            self._write_snapshot()
            self.note = None
            self._kept_took = self._now() - began
        except (SnapshotUnsupported, SnapshotRefused, GuestError, GuestTrap) as error:
            self._keeps = False
            self.note = f"no snapshots, it is replayed instead: {error}"
        except Exception as error:  # noqa: BLE001 - whatever the bucket raises: a snapshot is an economy
            self.note = f"the last snapshot could not be written: {error}"
            self._kept_took = max(self._now() - began, SNAPSHOT_RETRY_SECONDS / SNAPSHOT_SHARE)
            _log.warning("snapshot_failed", view=self.deployment.view_id, reason=str(error))
        finally:
            self._kept_at = self._now()
            if self._instance is not None and not self._instance.usable:
                self.discard()

    def _write_snapshot(self) -> None:
        instance = self._instance
        assert instance is not None  # noqa: S101 - what is dirty is resident
        manifest = self._shelf.write(
            instance.snapshot(),
            sequence=self.applied,
            root=self._source.root_at(self.deployment.log, self.applied),
            world=self._world,
            live=self.was_live,
            memory_bytes=instance.memory_bytes,
            now=self._wall_micros(),
        )
        self.snapshot = manifest.sequence
        self.memory_bytes = manifest.memory_bytes

    def forget(self) -> None:
        """Remove what is stored for this version."""
        self._shelf.forget()
