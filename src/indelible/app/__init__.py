"""The composition root: the only place that names engines and ties the layers together."""

import asyncio
import gc
import secrets as randomness_for_keys
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from indelible.app.background import Trimming, sweep
from indelible.app.opening import open_shared, root_key_digest, signer_command
from indelible.config import Settings
from indelible.fold.compile import Compiler
from indelible.fold.host import Host
from indelible.http.app import HttpApp
from indelible.http.server import HttpServer, Listening
from indelible.log.alive import Alive, last_alive, noted
from indelible.log.archive import Sealer
from indelible.log.archive_manifest import archive_key
from indelible.log.archiver import Archiver
from indelible.log.commit import Committer
from indelible.log.core import Core
from indelible.log.gate import Gate
from indelible.log.headlog import HeadLog
from indelible.log.heads import Heads
from indelible.log.keyring import Keyring
from indelible.log.lanes import Lanes
from indelible.log.mirror import Mirror
from indelible.log.policyfile import read_policy
from indelible.log.prove import Prover
from indelible.log.publish import Publisher
from indelible.log.read import EventReader
from indelible.log.sampling import Sampler
from indelible.log.segmentrows import SegmentRows
from indelible.log.signers import Signers
from indelible.log.source import Source
from indelible.log.timekeeper import Timekeeper
from indelible.log.witnesses import Witnesses
from indelible.model.clock import SYSTEM_CLOCK, SYSTEM_RANDOMNESS, Clock, Moment
from indelible.model.errors import Problem
from indelible.model.types import LogInfo
from indelible.notes.policy import WitnessPolicy
from indelible.service.access import Access
from indelible.service.audit import Subject
from indelible.service.auditing import Auditing
from indelible.service.bootstrap import Identity, default_workspace, identify, is_restored
from indelible.service.components import Components
from indelible.service.headlog import find_head_log
from indelible.service.logs import LogMaker
from indelible.service.services import Beside, Services, make_services
from indelible.service.sharing import Sharing, guard_signing
from indelible.service.types import Caller
from indelible.service.wakeups import Wakeups
from indelible.store.base import HeadRow, Store
from indelible.store.bucket import open_objects
from indelible.store.directory import DataDirectory
from indelible.store.objects import Objects
from indelible.store.sqlite import SqliteStore
from indelible.views.fresh import FreshFolds
from indelible.views.residence import Residence

# Threads hand each other the interpreter at least this often; the default of 5 ms would be most of an
# append's time, since a commit needs it back after each call into SQLite.
SWITCH_SECONDS = 0.0005
# Cycles of garbage are looked for when there are so many objects more than before (young, older, old), and
# not among what was there at the start: with Python's own numbers that is a twentieth of an append's time.
GARBAGE_THRESHOLDS = (20_000, 20, 50)


class Server:
    """One Indelible server over one data directory.

    Raises (from the constructor):
        StoreRefused: the directory cannot be served; the text says why and what to do.
    """

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self.settings = settings
        path = settings.witness_policy
        self._policy = None if path is None else read_policy(path, settings.limits)
        self.directory = DataDirectory(settings.data)
        self._shared = open_shared(settings, self.directory)
        self._store: Store = self._shared or SqliteStore(self.directory.path)
        try:
            fresh = self._store.reader.meta("deployment") is None
            signers = Signers(self.directory.master_secret(create=fresh), signer_command(settings))
            self.identity: Identity = identify(self._store, signers, settings.name)
            self._root_digest = None if settings.no_auth else root_key_digest(settings, self.directory)
        except BaseException:
            self._store.close()
            raise
        self._fatal = asyncio.Event()
        self._core = self._compose(signers, clock)
        if self._shared is not None:
            guard_signing(self._shared, self._core, self._archiver)
        self._http = HttpServer()
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: Services | None = None
        self._sharing: Sharing | None = None
        self.exit_code = 0

    # ------------------------------------------------------------------ life

    async def start(self) -> Listening:
        """Serve; returns where. Logs are checked against their published heads in the background."""
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        gc.freeze()
        self._loop = asyncio.get_running_loop()
        core = self._core
        core.committer.start()
        maker = LogMaker(core.deployment, core.signers, core.randomness)
        workspace = await default_workspace(core, maker)
        services = self._services = self._share(self._serve(maker, workspace))
        services.views.resume()  # before the start, so that these wait until they are asked
        self._residence.start()
        core.headlog.start(lambda: find_head_log(core, maker))
        core.publisher.start()
        if core.witnesses is not None:
            self._spawn(core.witnesses.run(core.reader, core.headlog.info))
        self._spawn(sweep(core))
        if self._sharing is not None:
            self._spawn(self._sharing.run())
        self._spawn(self._sampler.run())
        if core.gate.read_only is None:  # a restored copy is left as it is
            self._spawn(self._alive.run())
        if self._archiver is not None:
            self._spawn(self._archiver.run())
            self._spawn_trimming()
        app = HttpApp(
            services, limits=self.settings.limits, no_auth=self.settings.no_auth, host=self.settings.host
        )
        return await self._http.start(
            app,
            host=self.settings.host,
            port=self.settings.port,
            tls_cert=self.settings.tls_cert,
            tls_key=self.settings.tls_key,
            limits=self.settings.limits,
        )

    async def run_until(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set or stable storage fails; then end in order. Returns an exit code."""
        waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(self._fatal.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await self.stop()
        return self.exit_code

    async def stop(self) -> None:
        """Accept nothing new, finish what was accepted, publish and snapshot, close."""
        if self._services is not None:
            self._services.status.stopping = True
        await self._http.stop(self.settings.limits.stop_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._core.headlog.stop()
        if self._core.witnesses is not None:
            await self._core.witnesses.stop()
        await self._core.committer.stop()
        if self.exit_code == 0:
            with suppress(OSError, Problem):  # what could not be published is published at the next start
                await self._core.publisher.stop()
                if self._archiver is not None:
                    await self._archiver.finish(self.settings.limits.stop_seconds / 2)
        await asyncio.to_thread(self._fresh.stop)
        await self._residence.stop(self.settings.limits.stop_seconds / 2)
        self._host.close()
        if self._archiver is not None:
            self._archiver.close()
        self._store.close()

    # ------------------------------------------------------------------ composition

    def _compose(self, signers: Signers, clock: Clock) -> Core:
        limits, store = self.settings.limits, self._store
        objects = open_objects(self.settings.objects, self.directory.objects, limits)
        events = EventReader(store.reader, SegmentRows(objects, limits))
        heads = Heads(store.reader, shared=store.shared)
        prover = Prover(store.reader, events)
        keys = Keyring(store.reader, signers, limits, clock)
        publisher = Publisher(store.reader, objects, heads, keys, limits)
        gate = Gate(store.reader, objects, keys, prover, publisher)
        self._restored = is_restored(self.directory, store.reader)
        if self._restored:
            gate.read_only = (
                "this is a restored copy: it is read-only until its operator declares the original dead"
            )
        self._archiver = self._compose_archive(objects, events, prover, publisher, clock)
        self._sampler = Sampler(
            store.reader, objects, keys, events, prover, limits, randomness_for_keys.randbelow
        )
        moment = noted(store.reader)
        committer = Committer(
            store,
            self._timekeeper(clock, moment),
            limits,
            SYSTEM_RANDOMNESS,
            on_committed=self._on_committed,
            on_fatal=self._on_fatal,
            may_append=gate.require,
        )
        headlog = HeadLog(store.reader, heads, events, prover, publisher, gate, committer, limits)
        publisher.on_published = self._on_published
        self._alive = Alive(committer, limits, clock, moment)
        self._host_views(objects, Source(heads, events, prover), clock)
        self._wakeups = Wakeups(heads)
        core = Core(
            deployment=self.identity.name,
            reader=store.reader,
            objects=objects,
            events=events,
            heads=heads,
            signers=signers,
            keys=keys,
            prover=prover,
            publisher=publisher,
            gate=gate,
            committer=committer,
            lanes=Lanes(committer, limits, SYSTEM_RANDOMNESS),
            headlog=headlog,
            witnesses=None,
            limits=limits,
            clock=clock,
            randomness=SYSTEM_RANDOMNESS,
        )
        return core if self._policy is None else self._witnessed(core, self._policy)

    def _timekeeper(self, clock: Clock, moment: Moment) -> Timekeeper:
        return Timekeeper(
            clock if self._shared is None else replace(clock, wall_micros=self._shared.clock),
            self.settings.limits,
            self._on_clock_jump,
            last_alive=last_alive(self._store.reader),
            noted=moment,
            accept_start=self.settings.accept_clock,
        )

    def _host_views(self, objects: Objects, source: Source, clock: Clock) -> None:
        limits, code = self.settings.limits, self.directory.cache / "code"
        host = self._host = Host(code, limits)
        self._components = Components(objects, Compiler(code, limits), host, limits)
        self._residence = Residence(source, objects, host, self._components.load, limits, clock)
        self._fresh = FreshFolds(source.events, host, self._components.load, limits)

    def _witnessed(self, core: Core, policy: WitnessPolicy) -> Core:
        """Have heads cosigned as the policy says."""
        core.publisher.witnessing = witnesses = Witnesses(
            policy,
            fail_open=self.settings.witness_fail_open,
            publisher=core.publisher,
            prover=core.prover,
            gate=core.gate,
            objects=core.objects,
            keys=core.keys,
            limits=core.limits,
            clock=core.clock,
            on_conflict=self._on_conflict,
        )
        return core._replace(witnesses=witnesses)

    def _compose_archive(
        self, objects: Objects, events: EventReader, prover: Prover, publisher: Publisher, clock: Clock
    ) -> Archiver | None:
        """The archive, but of a restored copy, which writes nothing."""
        if not self.settings.archive or self._restored:
            return None
        limits, reader = self.settings.limits, self._store.reader
        mirror = Mirror(objects, prover, limits)
        publisher.before_signing = mirror.before_publishing
        return Archiver(
            reader,
            objects,
            Sealer(objects, events, prover, limits),
            mirror,
            publisher,
            limits,
            clock,
            deployment=self.identity.name,
            key=archive_key(self.directory.master_secret(create=False)),
        )

    def _serve(self, maker: LogMaker, workspace: int) -> Services:
        core = self._core
        access = Access(
            core.reader,
            core.limits,
            core.clock,
            root_digest=self._root_digest,
            default_workspace=workspace,
        )
        auditing = Auditing(core)

        def on_forbidden(caller: Caller, problem: Problem) -> None:
            self._spawn(auditing.refused(caller.workspace, caller.key_id, problem))

        access.on_forbidden = on_forbidden
        views = (self._components, self._residence, self._fresh)
        beside = Beside(*views, self._wakeups, self._sampler, self._archiver)
        return make_services(core, beside, access, auditing, maker, self._database_failure)

    def _share(self, services: Services) -> Services:
        """Tie this node to the others on its store, if others there may be."""
        if self._shared is None:
            return services
        args = (services.access, services.views, self._residence, self._wakeups)
        self._sharing = Sharing(self._shared, self._core, *args)
        return services._replace(arrivals=self._sharing.arrivals)

    def _spawn_trimming(self) -> None:
        if not self.settings.limits.trim_after_seconds:
            return
        if self._shared is not None:
            structlog.get_logger().warning("nodes remove no events: run indelible trim as a role of its own")
            return
        key = archive_key(self.directory.master_secret(create=False))
        self._spawn(Trimming(self._core, self._store, key, self._on_fatal).run())

    def _database_failure(self) -> str | None:
        return None if self._shared is None else self._shared.failure

    # ------------------------------------------------------------------ what happens

    def _on_committed(self, heads: dict[int, HeadRow]) -> None:
        core = self._core
        core.heads.committed(heads)
        if self._sharing is not None:
            self._sharing.committed()
        core.publisher.committed(set(heads))
        if self._archiver is not None:
            self._archiver.committed(heads)
        self._wakeups.committed(heads)
        for log, head in heads.items():
            self._residence.notify(log, head.size)

    def _on_published(self, log: int) -> None:
        """In a thread: a log has a new head that is signed and stored."""
        self._core.headlog.published(log)
        if self._core.witnesses is not None:
            self._core.witnesses.published(log)

    def _on_conflict(self, info: LogInfo, witness: str, found: str) -> None:
        """A witness has seen another history of a log; on the loop."""
        if self._services is not None:
            caller = self._services.access.system
            self._spawn(self._services.auditing.contradicted(caller, info, witness, found))

    def _on_fatal(self, error: BaseException) -> None:
        structlog.get_logger().critical("stable storage failed; the server stops", error=str(error))

        def stop() -> None:
            self.exit_code = 70
            if self._services is not None:
                self._services.status.broken = str(error)
            self._fatal.set()

        self._loop.call_soon_threadsafe(stop)

    def _on_clock_jump(self, ahead: int) -> None:
        seconds = round(ahead / 1e6, 3)
        structlog.get_logger().warning("a clock jump was accepted", ahead_seconds=seconds)

        def note() -> None:
            services = self._services
            if services is None:
                return
            caller = services.access.system
            subject = Subject("deployment", self.identity.name, self.identity.name)
            facts = {"ahead_seconds": seconds}
            self._spawn(
                services.auditing.write(caller.workspace, caller.writer, "clock.jumped", subject, facts)
            )

        self._loop.call_soon_threadsafe(note)

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(
    settings: Settings, stop: asyncio.Event, announce: Callable[[Listening, Server], None]
) -> int:
    """Serve until `stop` is set, and return an exit code; `announce` is called once the port answers."""
    server = Server(settings)
    try:
        listening = await server.start()
    except BaseException:
        await server.stop()
        raise
    announce(listening, server)
    return await server.run_until(stop)
