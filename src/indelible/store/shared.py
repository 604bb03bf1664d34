"""What an engine adds that several processes write to: the contract beside `store/base.py`."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from indelible.store.base import Store


class Bell(Protocol):
    """Tells other processes that heads moved, and is told. Nothing depends on it."""

    def start(self) -> None:
        """Begin to listen."""

    def ring(self) -> None:
        """Let the others know, soon. Cheap, from any thread."""

    def stop(self) -> None:
        """End; no call may follow."""


class Look(Protocol):
    """Reads one number again and again, on the event loop."""

    async def read(self) -> int:
        """The number, read after this call began. Raises StoreUnavailable."""

    def close(self) -> None:
        """End; no call is under way or follows."""


class SharedStore(Store, Protocol):
    """An engine that other processes write to as well.

    `on_reconnect` is called on the writer's thread, before the first transaction on another session.
    """

    on_reconnect: Callable[[], None]
    schema_version: int

    def facts(self) -> Mapping[str, str]:
        """What the engine said of itself when it was opened: `version`, and what storage depends on."""

    def check_rights(self) -> None:
        """Raise StoreRefused where the role may not do all that a server does."""

    @property
    def failure(self) -> str | None:
        """Why the store does not answer; None while it does, as far as is known."""

    def clock(self) -> int:
        """The store's own clock, µs since 1970. Raises StoreUnavailable."""

    def exclusively(self, name: str) -> AbstractContextManager[None]:
        """Hold a name alone among all processes. Raises StoreUnavailable, StoreConflict."""

    def registry_look(self) -> Look:
        """Make what reads `Reader.registry` for requests: quicker than on a thread."""

    def bell(self, heard: Callable[[], None]) -> Bell:
        """Make a bell; `heard`, on a thread of its own, is called after others rang theirs."""
