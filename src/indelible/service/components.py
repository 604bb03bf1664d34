"""Components of views: checked, compiled, tried, and stored under their digest."""

import asyncio
import hashlib
from collections.abc import Sequence

from indelible.fold.compile import Compiler
from indelible.fold.errors import Aborted, FoldError, GuestTrap, NoRoom, NotAView
from indelible.fold.host import Host
from indelible.fold.types import Compiled
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.service.types import Builtin, ComponentBytes, Source, Stored
from indelible.store.objects import Objects
from indelible.views import catalogue

_NO_CONFIG = ("", "{}")


def component_key(sha256: str) -> str:
    """Where a component stands in the object store."""
    return f"components/{sha256}.wasm"


class Components:
    """Gets from bytes, or the name of a built-in view, to something that can be folded."""

    def __init__(self, objects: Objects, compiler: Compiler, host: Host, limits: Limits) -> None:
        self._objects = objects
        self._compiler = compiler
        self._host = host
        self._limits = limits
        # Compiling takes a core and up to gigabytes: one at a time, the others wait their turn.
        self._compiling = asyncio.Semaphore(1)

    def load(self, sha256: str) -> Compiled:
        """Compile a stored component, or find it in the local cache. Blocking; any thread.

        Raises:
            LookupError: the object store has no such component.
        """
        return self._compiler.compile(self.read(sha256))

    def read(self, sha256: str) -> bytes:
        """The bytes of a stored component, with the digest checked. Blocking; any thread.

        Raises:
            LookupError: the object store has no such component.
        """
        component = self._objects.get(component_key(sha256))
        if component is None or hashlib.sha256(component).hexdigest() != sha256:
            raise LookupError(f"component {sha256} is missing or damaged in the object store")
        return component

    async def put(self, sha256: str, body: bytes) -> bool:
        """Store a component under its digest; False when it was there.

        Raises:
            Problem: `too_large`, `invalid_parameter` when the digest is another.
        """
        self._check_size(body)
        actual = hashlib.sha256(body).hexdigest()
        if actual != sha256.lower():
            raise Problem(
                "invalid_parameter", "the body has another SHA-256 than the path says", sha256=actual
            )
        return await asyncio.to_thread(self._objects.create, component_key(actual), body)

    async def take(self, source: Source, facts: Sequence[tuple[str, str]]) -> tuple[Compiled, str]:
        """Check, compile and try what is to be deployed, then store it; return it with its configuration.

        Raises:
            Problem: `not_a_view`, `not_found`, `too_large`, `disk_full`.
        """
        component, config = await asyncio.to_thread(self._bytes, source)
        self._check_size(component)
        async with self._compiling:
            compiled = await asyncio.to_thread(self._try, component, config, facts)
        await asyncio.to_thread(self._objects.create, component_key(compiled.sha256), component)
        return compiled, config

    def _bytes(self, source: Source) -> tuple[bytes, str]:
        if isinstance(source, ComponentBytes):
            return source.component, ""
        self._check_config(source.config)
        if isinstance(source, Builtin):
            return _shipped(source)
        return self._stored(source), source.config

    def _stored(self, source: Stored) -> bytes:
        sha256 = source.sha256.lower()
        well_formed = len(sha256) == 64 and all(c in "0123456789abcdef" for c in sha256)  # noqa: PLR2004 - hex
        component = self._objects.get(component_key(sha256)) if well_formed else None
        if component is None:
            raise Problem("not_found", "no such component is stored; PUT /components/{sha256} it first")
        return component

    def _check_config(self, config: str) -> None:
        limit = self._limits.config_bytes
        if len(config.encode()) > limit:
            raise Problem("too_large", "the configuration is over the limit", limit=limit, unit="bytes")

    def _check_size(self, component: bytes) -> None:
        limit = self._limits.component_bytes
        if len(component) > limit:
            raise Problem("too_large", "the component is over the limit", limit=limit, unit="bytes")

    def _try(self, component: bytes, config: str, facts: Sequence[tuple[str, str]]) -> Compiled:
        try:
            compiled = self._compiler.compile(component)
            self._host.trial(compiled, config, facts)
        except NotAView as error:
            raise Problem("not_a_view", f"this cannot be deployed: {error.reason}") from None
        except GuestTrap as error:
            raise Problem("not_a_view", f"it traps when it is started: {error.text}") from None
        except NoRoom as error:
            raise Problem("disk_full", f"{error.reason}; nothing was deployed") from None
        except Aborted as error:
            raise Problem("not_a_view", f"it could not be started: {error.reason}") from None
        except FoldError as error:
            raise Problem("not_a_view", f"it refuses to start: {error}") from None
        return compiled


def _shipped(source: Builtin) -> tuple[bytes, str]:
    shipped = catalogue.builtin(source.name)
    if shipped.config is None:
        return shipped.component, source.config
    if source.config not in _NO_CONFIG:
        raise Problem(
            "not_a_view",
            f"{source.name} has its own configuration; for another one deploy the built-in view report.",
        )
    return shipped.component, shipped.config
