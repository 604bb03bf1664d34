"""Events for those who follow a log: what is committed, by columns. Blocking; any thread."""

from indelible.log.heads import Heads
from indelible.log.prove import Prover
from indelible.log.read import Columns, EventReader, Span


class Source:
    """Implements the event source that views follow (`views.ports.EventSource`)."""

    def __init__(self, heads: Heads, events: EventReader, prover: Prover) -> None:
        self._heads = heads
        self.events = events
        self._prover = prover

    def committed(self, log: int) -> tuple[int, bytes]:
        """Size and root of the newest committed head; never goes back."""
        head = self._heads.get(log)
        return head.size, head.root

    def read(self, log: int, after_sequence: int, enough_events: int, enough_bytes: int) -> Columns:
        """The events after `after_sequence`, whole chunks until it is enough."""
        span = Span(after_sequence + 1, self._heads.get(log).size)
        return self.events.columns(log, span, enough_events, enough_bytes)

    def root_at(self, log: int, size: int) -> bytes:
        """The root of the log at `size`, recomputed from stored hashes."""
        return self._prover.root_at(log, size)
