"""The use cases on a real store, without HTTP and without views."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from indelible.app import Server
from indelible.config import Settings
from indelible.log.core import Core
from indelible.model.clock import SYSTEM_CLOCK, Clock
from indelible.model.limits import Limits
from indelible.service.bootstrap import default_workspace
from indelible.service.logs import LogMaker
from indelible.service.services import Services
from indelible.service.types import Caller

ROOT_KEY = "root-key-of-the-tests-0123456789abcdef"


class Bench:
    """The use cases, and what stands below them for a test to look at."""

    def __init__(self, server: Server, services: Services) -> None:
        self.server = server
        self.services = services
        self.core: Core = server._core
        self.root: Caller = self.login(ROOT_KEY)

    def login(self, secret: str) -> Caller:
        """Who has this secret; raises Problem."""
        return self.services.access.authenticate(f"Bearer {secret}")

    async def workspace(self, name: str) -> Caller:
        """A new workspace's first key."""
        _, _, secret = await self.services.workspaces.create(self.root, name)
        return self.login(secret)

    async def key(self, maker: Caller, **wanted: Any) -> Caller:
        """A new key."""
        _, secret = await self.services.keys.create(maker, **wanted)
        return self.login(secret)

    async def audit(self, caller: Caller) -> list[dict[str, Any]]:
        """What the caller's `_audit` says, oldest first."""
        page = await self.services.events.page(caller, "_audit")
        return [msgspec.json.decode(event.payload) for event in page.events]


@asynccontextmanager
async def bench(
    path: Path, *, clock: Clock = SYSTEM_CLOCK, command: str | None = None, **limits: Any
) -> AsyncIterator[Bench]:
    """Start over a directory, as a server does, but for HTTP, views, and publishing by time."""
    settings = Settings(
        path, name="x.example", root_key=ROOT_KEY, limits=Limits(**limits), signer_command=command
    )
    server = Server(settings, clock)
    core = server._core
    core.committer.start()
    try:
        maker = LogMaker(core.deployment, core.signers, core.randomness)
        workspace = await default_workspace(core, maker)
        yield Bench(server, server._serve(maker, workspace))
    finally:
        for task in server._tasks:
            task.cancel()
        await core.committer.stop()
        server._store.close()
