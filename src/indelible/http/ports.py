"""What this layer calls: the use cases, as far as HTTP sees them. Refusals are `Problem`.

The service implements these; naming them here lets a transport be tested without a store beneath it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from indelible.log.headlog import HeadProof
from indelible.model.types import Event, LogInfo
from indelible.service.events import Order
from indelible.service.framing import Framing
from indelible.service.ranges import Wanted
from indelible.service.types import (
    Appended,
    AppendedBatch,
    Caller,
    ConsistencyAnswer,
    EventPage,
    EvidenceAnswer,
    InclusionAnswer,
    KeyInfo,
    LogState,
    QueryAnswer,
    RangeAnswer,
    Readiness,
    Source,
    VersionsPage,
    ViewInfo,
    WorkspaceInfo,
)


class AccessPort(Protocol):
    """Who is calling."""

    def authenticate(self, authorization: str | None) -> Caller:
        """Find the caller of an `Authorization` header."""

    def public(self, reference: str) -> LogInfo | None:
        """The log with this id, when its proofs need no key."""


class LogsPort(Protocol):
    """Creating and finding logs."""

    async def create(
        self, caller: Caller, name: str, *, erasable: bool = False, public_proofs: bool = False
    ) -> LogState:
        """Create a log."""

    async def set_public_proofs(self, caller: Caller, log: str, *, public: bool) -> LogState:
        """Say whether a log's proofs need no key."""

    async def list(
        self, caller: Caller, *, after: str | None, limit: int
    ) -> tuple[list[LogState], str | None]:
        """Return a page of logs by name, and the name after which the next begins."""

    async def get(self, caller: Caller, log: str) -> LogState:
        """Return a log and its head."""


class AppendsPort(Protocol):
    """Writing events."""

    async def append(
        self,
        caller: Caller,
        log: str,
        payload: bytes,
        *,
        idempotency_key: str | None,
        expected_sequence: int | None,
        proof: bool,
    ) -> Appended:
        """Append one event."""

    async def append_batch(
        self,
        caller: Caller,
        log: str,
        body: bytes,
        framing: Framing,
        *,
        idempotency_key: str | None,
        expected_sequence: int | None,
    ) -> AppendedBatch:
        """Append all events of a body, or none."""


class EventsPort(Protocol):
    """Reading events."""

    async def page(
        self,
        caller: Caller,
        log: str,
        *,
        after_sequence: int | None,
        limit: int | None,
        from_: str | None,
        to: str | None,
        order: Order,
        wait_seconds: float,
    ) -> EventPage:
        """Return a page, waiting for one when asked to."""

    async def stream(
        self,
        caller: Caller,
        log: str,
        *,
        after_sequence: int | None,
        limit: int | None,
        from_: str | None,
        to: str | None,
        order: Order,
    ) -> AsyncIterator[list[Event]]:
        """Check the question, then return all that answers it, a few events at a time."""

    async def get(self, caller: Caller, log: str, sequence: int) -> Event:
        """Return one event."""


class ProofsPort(Protocol):
    """What proves."""

    async def checkpoint(self, caller: Caller, log: str) -> bytes:
        """Return the published checkpoint."""

    async def tile(self, caller: Caller, log: str, path: str) -> bytes:
        """Return a tile by what follows `/tile/`."""

    async def keys(self, caller: Caller, log: str) -> Sequence[Mapping[str, object]]:
        """Return the keys of a log."""

    async def event(self, caller: Caller, log: str, sequence: int) -> bytes:
        """A tlog-proof of one event."""

    async def inclusion(
        self, caller: Caller, log: str, *, sequence: int, size: int | None
    ) -> InclusionAnswer:
        """Prove that an event is in a tree."""

    async def consistency(
        self, caller: Caller, log: str, *, from_size: int, to_size: int | None
    ) -> ConsistencyAnswer:
        """Prove that a tree is a prefix of another."""

    async def range(
        self,
        caller: Caller,
        log: str,
        *,
        first: int | None = None,
        last: int | None = None,
        from_: str | None = None,
        to: str | None = None,
    ) -> RangeAnswer:
        """A range proof, by sequences or by times."""


class HeadLogPort(Protocol):
    """The deployment's log of heads."""

    async def checkpoint(self) -> bytes:
        """Return its newest checkpoint."""

    async def tile(self, path: str) -> bytes:
        """Return a tile by what follows `/tile/`."""

    async def keys(self) -> Sequence[Mapping[str, object]]:
        """Return its keys."""

    async def proof(self, caller: Caller, log: str, min_size: int = 0) -> HeadProof:
        """Prove that a head of this log stands in it."""


class EvidencePort(Protocol):
    """Evidence files."""

    async def export(self, caller: Caller, log: str, wanted: Wanted, *, query: str) -> EvidenceAnswer:
        """Check the question, then return a file that is made as it is read."""


class AnswersPort(Protocol):
    """Answers as evidence."""

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
        """Ask a view afresh, then return a file that is made as it is read."""


class ViewsPort(Protocol):
    """Views: deploying and asking."""

    async def deploy(self, caller: Caller, log: str, name: str, source: Source) -> tuple[ViewInfo, bool]:
        """Deploy a view, and say whether it is a new version."""

    async def get(self, caller: Caller, log: str, name: str) -> ViewInfo:
        """Return a view."""

    async def delete(self, caller: Caller, log: str, name: str) -> None:
        """Delete a view."""

    async def history(
        self, caller: Caller, log: str, name: str, *, before: int | None, limit: int
    ) -> VersionsPage:
        """Return a page of a view's versions."""

    async def rollback(self, caller: Caller, log: str, name: str, version: int | None) -> ViewInfo:
        """Let another version of a view answer."""

    async def query(
        self,
        caller: Caller,
        log: str,
        name: str,
        *,
        params: list[tuple[str, str]],
        body: bytes,
        accept: str | None,
    ) -> QueryAnswer:
        """Ask a view."""

    async def put_component(self, caller: Caller, sha256: str, body: bytes) -> bool:
        """Store a component, and say whether it was new."""

    async def list(self, caller: Caller, log: str) -> Sequence[ViewInfo]:
        """Return the views of a log."""

    def catalogue(self) -> bytes:
        """Return what can be deployed by name, as JSON."""


class KeysPort(Protocol):
    """Keys."""

    async def create(
        self,
        caller: Caller,
        *,
        label: str,
        scopes: list[str] | None,
        logs: list[str] | None,
        views: list[str] | None,
        not_before: str | None,
        expires: str | None,
        preset: str | None,
        workspace: str | None,
    ) -> tuple[KeyInfo, str]:
        """Make a key, and return its secret."""

    async def list(self, caller: Caller) -> Sequence[KeyInfo]:
        """Return the keys of the caller's workspace."""

    async def revoke(self, caller: Caller, key_id: str) -> KeyInfo:
        """Revoke a key."""


class RotationPort(Protocol):
    """Signing keys of logs."""

    async def rotate(self, caller: Caller, log: str) -> Mapping[str, object]:
        """Let the next key of a log follow, and return it."""


class WorkspacesPort(Protocol):
    """Workspaces."""

    async def create(self, caller: Caller, name: str) -> tuple[WorkspaceInfo, KeyInfo, str]:
        """Make a workspace with its first key, and return that key's secret."""

    async def list(self, caller: Caller) -> Sequence[WorkspaceInfo]:
        """Return all workspaces."""


class StatusPort(Protocol):
    """How the server is."""

    def healthy(self) -> bool:
        """Say whether the process works at all."""

    def ready(self) -> Readiness:
        """Say whether requests can be served."""

    def metrics(self) -> bytes:
        """Return the metrics in the Prometheus text format."""


class ArrivalsPort(Protocol):
    """Keeping what is remembered as new as the requests."""

    async def arrive(self) -> None:
        """Wait until what is remembered is as new as this call."""


class ServicesPort(Protocol):
    """All use cases."""

    @property
    def arrivals(self) -> ArrivalsPort | None:
        """Where other processes change the same store."""

    @property
    def access(self) -> AccessPort:
        """Who is calling."""

    @property
    def logs(self) -> LogsPort:
        """Creating and finding logs."""

    @property
    def appends(self) -> AppendsPort:
        """Writing events."""

    @property
    def events(self) -> EventsPort:
        """Reading events."""

    @property
    def proofs(self) -> ProofsPort:
        """What proves."""

    @property
    def headlog(self) -> HeadLogPort:
        """The deployment's log of heads."""

    @property
    def evidence(self) -> EvidencePort:
        """Evidence files."""

    @property
    def answers(self) -> AnswersPort:
        """Answers as evidence."""

    @property
    def views(self) -> ViewsPort:
        """Views."""

    @property
    def keys(self) -> KeysPort:
        """Keys."""

    @property
    def rotation(self) -> RotationPort:
        """Signing keys of logs."""

    @property
    def workspaces(self) -> WorkspacesPort:
        """Workspaces."""

    @property
    def status(self) -> StatusPort:
        """How the server is."""
