"""Asking witnesses to cosign the heads of some logs, and serving what the policy says is enough.

One submitter a log: it takes the newest head that is signed and stored, asks all witnesses at one time, and
keeps the head with its cosignatures in the object store as soon as they are enough. A witness that has seen
another history stops the log: nothing more is signed for it.

Where several nodes publish a log, the one that publishes a head asks for it; what each got stands in the
object store, never replaced by a smaller one, and the others take it up from there. A head is stored before
any witness hears of it: so a size that a witness names and that stands there is another node's, no other
history.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from indelible import telemetry
from indelible.log.gate import Gate, conflict_key
from indelible.log.keyring import Histories
from indelible.log.policyfile import logs_of
from indelible.log.prove import Prover
from indelible.log.publish import PASSING, Published, Publisher
from indelible.log.submission import Submission, keep_witnessed, load_witnessed
from indelible.log.witness_client import (
    Contradicted,
    Cosigned,
    Elsewhere,
    Outcome,
    Question,
    Unanswered,
    WitnessClient,
    judge_reply,
)
from indelible.model.clock import Clock
from indelible.model.errors import Problem
from indelible.model.instants import MICROS_PER_SECOND, format_micros
from indelible.model.limits import Limits
from indelible.model.names import HEAD_LOG
from indelible.model.types import LogInfo
from indelible.notes.addcheckpoint import AddCheckpoint, format_add
from indelible.notes.note import add_signatures, parse_note
from indelible.notes.policy import Witness, WitnessPolicy
from indelible.store.base import Reader, StoreError
from indelible.store.objects import Objects

TRIES = 3
"""Questions to one witness about one head: the first may show at which size the proof has to begin."""


class Witnesses:
    """Implements `publish.Witnessing`. On the event loop, but `published`, which any thread may call.

    `on_conflict` gets the log, the witness's name and what it found, after the log was stopped.
    """

    def __init__(
        self,
        policy: WitnessPolicy,
        *,
        fail_open: bool,
        publisher: Publisher,
        prover: Prover,
        gate: Gate,
        objects: Objects,
        keys: Histories,
        limits: Limits,
        clock: Clock,
        on_conflict: Callable[[LogInfo, str, str], None],
    ) -> None:
        self.policy = policy
        self.fail_open = fail_open
        self._publisher = publisher
        self._prover = prover
        self._gate = gate
        self._objects = objects
        self._keys = keys
        self._limits = limits
        self._clock = clock
        self._on_conflict = on_conflict
        self._origins = {key.name for key in policy.logs}
        self._submissions: dict[int, Submission] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._says: dict[str, str] = {}  # what came of the last question to each witness
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: WitnessClient | None = None
        self._room = asyncio.Semaphore(limits.witness_requests)

    # ------------------------------------------------------------------ life

    def start(self, logs: Sequence[LogInfo]) -> None:
        """Begin to have the heads of these logs cosigned, and of others as they are asked for."""
        self._loop = asyncio.get_running_loop()
        self._client = self._client or WitnessClient(self._limits)
        for info in logs:
            self._of(info)

    async def run(self, reader: Reader, head_log: Callable[[], Awaitable[LogInfo]]) -> None:
        """Start with the logs of the policy, and with the log of heads once that is there."""
        self.start(await asyncio.to_thread(logs_of, self.policy, reader))
        while True:
            with suppress(Problem):  # it cannot be made yet: the clock is unsure, the disk is full
                self.start([await head_log()])
                return
            await asyncio.sleep(self._limits.heads_interval_seconds)

    async def stop(self) -> None:
        """Ask no more; what was kept is served again at the next start."""
        for submission in self._submissions.values():
            submission.ended = True
        asked = [task for one in self._submissions.values() for task in one.busy.values()]
        for task in (*self._tasks, *asked):
            task.cancel()
        await asyncio.gather(*self._tasks, *asked, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    def published(self, log: int) -> None:
        """A log has a new head that is signed and stored."""
        submission = self._submissions.get(log)
        if submission is not None and self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(submission.wake.set)

    def state(self) -> dict[str, object]:
        """What an operator should see: the policy, each witness, and the logs that lack cosignatures."""
        behind = [str(one.info.log_id) for one in self._submissions.values() if one.stuck and not one.ended]
        return {
            "quorum": self.policy.quorum,
            "fail_open": self.fail_open,
            "logs": len(self._submissions),
            "unwitnessed": behind,
            "witnesses": {w.name: self._says.get(w.name, "not asked yet") for w in self.policy.witnesses},
        }

    # ------------------------------------------------------------------ what is served

    def applies(self, info: LogInfo) -> bool:
        """See `publish.Witnessing`: the log of heads, and those that the policy names."""
        return info.name == HEAD_LOG or info.origin in self._origins

    async def latest(self, info: LogInfo) -> Published:
        """See `publish.Witnessing`."""
        submission = self._of(info)
        if self._publisher.shared:
            await self._load(submission)
        witnessed = submission.witnessed
        if witnessed is None:
            witnessed = await submission.wait(0, self._limits.witness_wait_seconds)
        behind = witnessed is None or submission.stuck or submission.shown > witnessed.size
        if witnessed is not None and not (self.fail_open and behind):
            return witnessed
        head = await self._publisher.signed(info)
        return self._unwitnessed(submission, head)

    async def at_least(self, info: LogInfo, size: int) -> Published:
        """See `publish.Witnessing`."""
        submission = self._of(info)
        if submission.witnessed is not None and submission.witnessed.size >= size:
            return submission.witnessed
        head = await self._publisher.signed(info, size)
        if self._publisher.shared:
            submission.wake.set()  # another node may have published it, of which nobody tells
        witnessed = await submission.wait(size, self._limits.witness_wait_seconds)
        if witnessed is not None:
            return witnessed
        return self._unwitnessed(submission, head)

    def _of(self, info: LogInfo) -> Submission:
        submission = self._submissions.get(info.key)
        if submission is None:
            submission = self._submissions[info.key] = Submission(info)
            submission.ended = self._loop is None  # not started: nobody is asked
            if self._loop is not None:
                self._tasks.append(self._loop.create_task(self._drive(submission)))
        return submission

    def _unwitnessed(self, submission: Submission, head: Published) -> Published:
        """A head that lacks cosignatures, where the operator has it served all the same."""
        if not self.fail_open:
            raise Problem(
                "not_witnessed_yet",
                f"the head of {head.size} events lacks the cosignatures that this deployment's policy"
                " asks for",
                size=head.size,
                retry_after=max(1, int(self._limits.witness_wait_seconds)),
            )
        submission.shown = max(submission.shown, head.size)
        telemetry.unwitnessed_served_total.inc()
        return head

    # ------------------------------------------------------------------ the submitter of one log

    async def _drive(self, submission: Submission) -> None:
        try:
            await self._load(submission)
            while not submission.ended:
                submission.wake.clear()
                try:
                    if self._publisher.shared:
                        await self._load(submission)
                    await self._round(submission, await self._newest(submission))
                except Problem as problem:
                    if problem.code.name not in PASSING:
                        raise
                    structlog.get_logger().warning("a head waits to be cosigned", why=str(problem))
                except (OSError, StoreError, LookupError) as error:
                    structlog.get_logger().error("a head could not be read or stored", why=str(error))
                await self._pause(submission)
        except Problem as problem:  # refused, or read-only: what is kept goes on being served
            structlog.get_logger().warning(
                "a log is not witnessed", log_id=str(submission.info.log_id), why=str(problem)
            )
        finally:
            submission.ended = True
            submission.tell()

    async def _load(self, submission: Submission) -> None:
        """Take up what was kept before or by another node, when the policy of now is content with it."""
        info = submission.info
        try:
            stored = await asyncio.to_thread(load_witnessed, self._objects, self._keys, info, self.policy)
        except ValueError as error:
            structlog.get_logger().error(
                "the kept cosigned checkpoint is damaged", log_id=str(info.log_id), why=str(error)
            )
            return
        if stored is not None:
            submission.adopt(stored, enough=self.policy.met(stored.cosigned))

    async def _newest(self, submission: Submission) -> Published:
        """The newest signed head of a log that matches what was published.

        Raises:
            Problem: the log is refused, or nothing is signed here.
        """
        floor = submission.floor  # another node's may rise meanwhile
        await asyncio.to_thread(self._gate.open, submission.info)
        head = await self._publisher.newest(submission.info)
        if head.size < floor:
            found = f"a head of {floor} events was cosigned, and {head.size} are published"
            self._publisher.on_mismatch(submission.info, found)
            raise Problem("log_behind_published_head", found)
        return head

    async def _round(self, submission: Submission, head: Published) -> None:
        """Ask all who can be asked about this head, until it is cosigned enough or nobody is left."""
        if submission.head is not None and head.size < submission.head.size:
            return  # another node came further meanwhile
        submission.take(head)
        await self._keep_if_met(submission, head)
        now = time.monotonic()
        asked = set()
        for witness in self.policy.witnesses:
            free = witness.name not in submission.busy and witness.name not in submission.signatures
            if witness.url and free and submission.failures.get(witness.name, (0, 0.0))[1] <= now:
                task = asyncio.ensure_future(self._one(submission, witness, witness.url, head))
                submission.busy[witness.name] = task
                asked.add(task)
        while asked and not submission.ended and not self.policy.met(submission.signatures):
            _, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)

    async def _pause(self, submission: Submission) -> None:
        """Wait for another head; where this one lacks cosignatures, until a witness may be asked again."""
        submission.stuck = not self.policy.met(submission.signatures)
        telemetry.checkpoints_unwitnessed.set(sum(one.stuck for one in self._submissions.values()))
        timeout = self._limits.heads_interval_seconds if self._publisher.shared else None
        if submission.stuck:
            free = [until for name, (_, until) in submission.failures.items() if name not in submission.busy]
            again = max(0.05, min(free) - time.monotonic()) if free else None
            submission.again = asyncio.get_running_loop().time() + (again or math.inf)
            timeout = min(again or math.inf, timeout or math.inf) if again or timeout else None
        submission.tell()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # wait_for swallows a cancel that meets a wake
                await submission.wake.wait()

    async def _one(self, submission: Submission, witness: Witness, url: str, head: Published) -> None:
        started = time.monotonic()
        try:
            outcome = await self._ask(submission, witness, url, head)
            telemetry.witness_ask_seconds.labels(witness.name).observe(time.monotonic() - started)
            await self._take(submission, witness, head, outcome)
        except Exception:  # noqa: BLE001 - a disk that is full, a fault of ours: told, and asked again later
            structlog.get_logger().exception("a witness could not be asked", witness=witness.name)
            self._failed(submission, witness)
        finally:
            submission.busy.pop(witness.name, None)
            submission.wake.set()

    async def _ask(self, submission: Submission, witness: Witness, url: str, head: Published) -> Outcome:
        """Ask one witness about one head, again where it names the size that the proof has to begin at."""
        client, info = self._client, submission.info
        if client is None:
            return Unanswered("the server stops")
        text = parse_note(head.note).text
        old_size = min(submission.sizes.get(witness.name, 0), head.size)
        for _ in range(TRIES):
            hashes = await asyncio.to_thread(self._prover.consistency, info.key, old_size, head.size)
            body = format_add(AddCheckpoint(old_size, hashes, head.note))
            try:
                async with self._room, asyncio.timeout(self._limits.witness_seconds):
                    reply = await client.add_checkpoint(url, body)
            except TimeoutError:
                return Unanswered(f"it gave no answer in {self._limits.witness_seconds} seconds")
            if isinstance(reply, Unanswered):
                return reply
            question = Question(text, head.size, old_size)
            now, skew = self._clock.wall_micros() // MICROS_PER_SECOND, self._limits.witness_clock_seconds
            outcome = judge_reply(reply, question, witness.verifier, now, skew)
            if not isinstance(outcome, Elsewhere):
                return outcome
            old_size = outcome.size
        return Unanswered("it named another size each time")

    async def _take(
        self, submission: Submission, witness: Witness, head: Published, outcome: Outcome
    ) -> None:
        name = witness.name
        if isinstance(outcome, Cosigned):
            self._note(name, "cosigned", "")
            submission.failures.pop(name, None)
            submission.sizes[name] = head.size
            if submission.head is not None and submission.head.size == head.size:
                submission.signatures[name] = outcome.signature
                await self._keep_if_met(submission, head)
        elif isinstance(outcome, Contradicted) and not await self._stands(submission, outcome.size):
            self._note(name, "conflict", outcome.found)
            await self._stop(submission, witness, head, outcome.found)
        else:
            why = outcome.why if isinstance(outcome, Unanswered) else "it was asked about a later head"
            self._note(name, "failed", why)
            self._failed(submission, witness)

    async def _stands(self, submission: Submission, size: int) -> bool:
        """Whether another node stored a head so large: the next question is about that, and proves it."""
        if not size or not self._publisher.shared:
            return False
        return (await self._publisher.newest(submission.info)).size >= size

    def _note(self, name: str, outcome: str, says: str) -> None:
        telemetry.witness_asked_total.labels(name, outcome).inc()
        self._says[name] = f"{outcome}: {says}" if says else outcome

    def _failed(self, submission: Submission, witness: Witness) -> None:
        count = submission.failures.get(witness.name, (0, 0.0))[0]
        wait = min(self._limits.witness_backoff_seconds, 2.0 ** min(count, 30))
        submission.failures[witness.name] = (count + 1, time.monotonic() + wait)

    async def _keep_if_met(self, submission: Submission, head: Published) -> None:
        """Store the head with all cosignatures that are there, once they are enough; never a smaller one."""
        async with submission.keeping:
            current = submission.head is not None and submission.head.size == head.size
            if not current or head.size < submission.floor or not self.policy.met(submission.signatures):
                return
            signatures = submission.signatures
            in_order = [signatures[w.name] for w in self.policy.witnesses if w.name in signatures]
            note = add_signatures(head.note, in_order)  # every node writes the same
            if submission.witnessed is not None and submission.witnessed.note == note:
                return
            own = Published(head.size, head.root, note)
            args = (self._objects, self._keys, submission.info, self.policy, own)
            larger = await asyncio.to_thread(keep_witnessed, *args)
            if larger is not None:
                submission.adopt(larger, enough=self.policy.met(larger.cosigned))
                return
            submission.floor, submission.witnessed = head.size, own
            submission.tell()

    async def _stop(self, submission: Submission, witness: Witness, head: Published, found: str) -> None:
        """Sign nothing more for this log: its witness has seen another history of it."""
        info = submission.info
        says = f"the witness {witness.name} contradicts this log: {found}"
        record = {
            "found": says,
            "witness": witness.verifier.vkey,
            "url": witness.url,
            "time": format_micros(self._clock.wall_micros()),
            "checkpoint": head.note.decode(),
        }
        self._publisher.on_mismatch(info, says)
        submission.ended = True
        submission.tell()
        self._on_conflict(info, witness.name, found)
        await asyncio.to_thread(self._objects.put, conflict_key(info), msgspec.json.encode(record))
