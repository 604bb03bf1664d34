"""What an examination gives: differences, and how many."""

from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from indelible.model.types import LogInfo
from indelible.store.base import StoreError

State = Literal["ok", "look", "bad"]
Verdict = tuple[State, str]
"""How something is, and what to do: `look` deserves a look, `bad` must be mended."""

UNREADABLE = (StoreError, AttributeError, LookupError, TypeError, ValueError)
"""What reading rows raises that the database cannot give, or whose values are of no kind that was written."""


class Difference(NamedTuple):
    """One thing that is not as it should be: what, where, and in words.

    `kind` is one of those of `log/recompute.py`, or writer, checkpoint, snapshot, component, workspace, log,
    key, view, database, secret. `sequence` is an event's, of `_audit` where the row of a workspace differs.
    """

    kind: str
    workspace: str | None
    log: str | None
    log_id: str | None
    sequence: int | None
    found: str


@dataclass(slots=True)
class Count:
    """What was examined and how much differs; `listed` is less than `differences` past the limit a log."""

    logs: int = 0
    events: int = 0
    differences: int = 0
    listed: int = 0

    def members(self) -> dict[str, int]:
        """As it is written."""
        return asdict(self)


def at(
    info: LogInfo | None, kind: str, sequence: int | None, found: str, workspace: str | None = None
) -> Difference:
    """A difference in a log, or in none."""
    return Difference(
        kind, workspace, info and info.name, str(info.log_id) if info else None, sequence, found
    )
