"""What the views need from below, as contracts. Implementations stand in the layers that own the thing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from indelible.fold.types import Answer, Batch, Compiled, Question
from indelible.log.read import Columns as Columns  # noqa: PLC0414 - part of this contract

Facts = Sequence[tuple[str, str]]


class EventSource(Protocol):
    """The committed events of all logs. Calls block, and may come from any thread.

    What `read` has returned stays true for ever: events are never changed and heads never go back.
    Any exception means "not now": the views try again later.
    """

    def committed(self, log: int) -> tuple[int, bytes]:
        """Size and root of the newest head that this node knows to be committed; it never goes back."""

    def read(self, log: int, after_sequence: int, enough_events: int, enough_bytes: int) -> Columns:
        """The events that follow `after_sequence`, as far as they are committed; none where there are none.

        No more is read once there are `enough_events`, or as many bytes of payload as `enough_bytes`; what
        was stored together is given whole all the same.
        """

    def root_at(self, log: int, size: int) -> bytes:
        """The root of the log's first `size` events, recomputed from stored hashes."""


class Objects(Protocol):
    """Where snapshots are stored: whole values under keys of plain segments joined by `/`.

    Any exception means "not now"; a snapshot is an economy, never the only copy of anything.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store a value, whole and durably, replacing what was there."""

    def get(self, key: str) -> bytes | None:
        """The value, or None."""

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`, a folder ending in `/`, sorted."""

    def delete(self, key: str) -> None:
        """Remove a value; nothing happens where there is none."""


class Instance(Protocol):
    """A view in memory (`fold.Fold`): used by one thread at a time."""

    @property
    def memory_bytes(self) -> int:
        """Linear memory that it holds."""

    @property
    def fuel_used(self) -> int:
        """Fuel that the last call used; 0 when it is gone."""

    @property
    def usable(self) -> bool:
        """False once a call has left it in an unknown state."""

    def append(self, batch: Batch) -> None:
        """Fold events. Raises GuestError, GuestTrap or Aborted, each of which leaves it unusable."""

    def query(self, question: Question, /) -> Answer:
        """Answer. Raises QueryRefused, GuestTrap, Aborted or AnswerTooLarge."""

    def snapshot(self) -> Iterator[str | bytes]:
        """The state in parts. Raises SnapshotUnsupported, GuestTrap or Aborted."""

    def interrupt(self) -> None:
        """Abort the running call, from any thread."""

    def close(self) -> None:
        """Give up its memory."""


class Host(Protocol):
    """What makes instances (`fold.Host`); safe to call from several threads."""

    def open(self, compiled: Compiled, config: str, facts: Facts) -> Instance:
        """Make an instance and call its `init`. Raises GuestError, GuestTrap or Aborted."""

    def reopen(self, compiled: Compiled, config: str, facts: Facts, parts: Iterable[str | bytes]) -> Instance:
        """Make an instance and restore its state from parts.

        Raises GuestError, GuestTrap or ValueError for parts that are no good, or Aborted.
        """
