"""The frozen values that go into the views and come out."""

from typing import Literal, NamedTuple

State = Literal["replaying", "live", "failed"]


class Deployment(NamedTuple):
    """One version of a view on one log. Nothing in it ever changes; a change is a new version."""

    view_id: str
    log: int  # the log's number in the store
    workspace: int  # turns on the fold threads are shared out among workspaces
    name: str
    version: int
    component_sha256: str  # hex
    config: str
    facts: tuple[tuple[str, str], ...]  # log-id, log-name, origin; handed to the view's `init` in order

    @property
    def origin(self) -> str:
        """The log's origin, or nothing where the facts don't say."""
        return dict(self.facts).get("origin", "")


class ViewError(NamedTuple):
    """The one event that a view cannot fold, and why. Sequence 0: the view did not start at all."""

    sequence: int
    reason: str


class Follow(NamedTuple):
    """How far a view has come. `applied` is the last event folded, or held in the newest snapshot."""

    state: State
    applied: int
    error: ViewError | None
    memory_bytes: int  # 0 when it is not resident
    resident: bool
    snapshot: int | None = None  # the sequence of the newest snapshot
    note: str | None = None  # what an operator should know: why there are no snapshots, what is retried


NOT_BEGUN = Follow("replaying", applied=0, error=None, memory_bytes=0, resident=False)
