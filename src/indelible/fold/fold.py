"""One view over one log: an instance that folds batches and answers questions."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from indelible.fold.errors import AnswerTooLarge, QueryRefused, SnapshotUnsupported, TooLargeToLift
from indelible.fold.guest import Guest
from indelible.fold.machine_world import MachineWorld
from indelible.fold.types import Answer, Batch, Question
from indelible.fold.view_world import ViewWorld
from indelible.model.limits import Limits


class Fold:
    """One instance over one log. Used by one thread at a time; only `interrupt` may come from another.

    After any failure but `QueryRefused` look at `usable`: an instance that is gone must be opened again.
    """

    def __init__(self, guest: Guest, speaker: ViewWorld | MachineWorld, limits: Limits) -> None:
        self._guest = guest
        self._speaker = speaker
        self._limits = limits

    @property
    def usable(self) -> bool:
        """Whether the instance still stands."""
        return self._guest.usable

    @property
    def memory_bytes(self) -> int:
        """Bytes of linear memory in use; 0 when the instance is gone. Reads a file of the kernel."""
        return self._guest.memory_bytes

    @property
    def fuel_used(self) -> int:
        """Fuel that the last call used, about one an instruction; 0 when the instance is gone."""
        return self._guest.fuel_used

    def append(self, batch: Batch) -> None:
        """Fold a batch into the state.

        Raises:
            GuestError, GuestTrap: decided; its events, folded one by one, tell which. The instance is gone.
            Aborted: repeat on a new instance; this one is gone.
            ValueError, OverflowError: columns that do not fit together. The instance is gone.
        """
        if not batch.payloads:
            return
        try:
            self._speaker.append(batch)
        except BaseException:
            self.close()
            raise

    def query(self, question: Question) -> Answer:
        """Answer a question.

        Raises:
            QueryRefused: the instance stays good.
            AnswerTooLarge, GuestTrap, Aborted: the instance is gone.
        """
        try:
            return self._speaker.query(question)
        except QueryRefused:
            raise
        except UnicodeEncodeError:
            raise QueryRefused("invalid", "The question has text that is not UTF-8.") from None
        except TooLargeToLift:
            self.close()
            raise AnswerTooLarge(0, self._limits.answer_bytes) from None
        except BaseException:
            self.close()
            raise

    def snapshot(self) -> Iterator[str | bytes]:
        """Give the state in parts, to be handed to `Host.reopen` in the same order.

        Each part is asked of the guest when it is taken: take all before anything else is called.

        Raises:
            SnapshotUnsupported: replay instead. A state too large to lift costs the instance: see `usable`.
            GuestTrap, Aborted: the instance is gone.
        """
        try:
            yield from self._speaker.snapshot()
        except (GeneratorExit, SnapshotUnsupported):
            raise
        except TooLargeToLift:
            self.close()
            raise SnapshotUnsupported("the state is too large to be taken out") from None
        except BaseException:
            self.close()
            raise

    def describe(self) -> str:
        """Return what the view says about itself: JSON of `view.wit`, or the empty text for a machine.

        Raises:
            GuestTrap, Aborted: the instance is gone.
        """
        return self._speaker.describe()

    def init(self, config: str, facts: Iterable[tuple[str, str]]) -> None:
        """Start from nothing. The host calls this once, when it opens the fold.

        Raises:
            GuestError: the guest refuses the configuration.
            GuestTrap, Aborted: the instance is gone.
        """
        self._speaker.init(config, list(facts))

    def restore(self, parts: Iterable[str | bytes]) -> None:
        """Replace the state. The host calls this once, after `init`, when it reopens a fold.

        Raises:
            GuestError: the guest refuses the parts.
            GuestTrap, Aborted: the instance is gone.
            ValueError: the parts are none that `snapshot` gives.
        """
        self._speaker.restore(parts)

    def interrupt(self, reason: str = "interrupted") -> None:
        """Abort the call that is running now, from any thread; does nothing when none is."""
        self._guest.interrupt(reason)

    def close(self) -> None:
        """Free the instance and its memory. May be called twice."""
        self._guest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
