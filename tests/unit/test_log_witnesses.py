"""The submitter of a log: what is kept is never replaced by less, and never comes from nowhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.harness.logs import World
from tests.harness.witnesses import lying_witness

from indelible.log.gate import Gate, conflict_key
from indelible.log.publish import Publisher
from indelible.log.submission import load_witnessed, witnessed_key
from indelible.log.witnesses import Witnesses
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.names import HEAD_LOG
from indelible.model.types import LogInfo
from indelible.notes.addcheckpoint import parse_add
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.cosignature import Cosigner
from indelible.notes.note import format_note, parse_note
from indelible.notes.policy import parse_policy

COSIGNERS = [Cosigner(f"w{n}.example", bytes([n + 1]) * 32) for n in range(3)]
Answering = Callable[[bytes], tuple[int, bytes]]


def cosigning(world: World, cosigner: Cosigner, asked: list[tuple[int, int]]) -> Answering:
    """A witness that cosigns all that it is asked, and notes the old and the new size."""

    def answer(body: bytes) -> tuple[int, bytes]:
        request = parse_add(body)
        note = parse_note(request.checkpoint)
        asked.append((request.old_size, parse_checkpoint(note.text).size))
        line = cosigner.cosign(note.text, world.hands.clock().wall_micros() // 1_000_000)
        return 200, format_note(note._replace(signatures=(line,))).partition(b"\n\n")[2]

    return answer


@asynccontextmanager
async def witnessed(
    world: World, urls: list[str], quorum: str, *, fail_open: bool = False, **limits: Any
) -> AsyncIterator[tuple[Witnesses, list[str]]]:
    """Witnesses over a world, which is started, for its log of heads."""
    lines = [
        f"witness w{at} {cosigner.verifier.vkey} {url}"
        for at, (cosigner, url) in enumerate(zip(COSIGNERS, urls, strict=False))
    ]
    names = " ".join(f"w{at}" for at in range(len(urls)))
    policy = parse_policy("\n".join([*lines, f"group g {quorum} {names}", "quorum g"]))
    found: list[str] = []
    witnesses = Witnesses(
        policy,
        fail_open=fail_open,
        publisher=world.publisher,
        prover=world.prover,
        gate=world.gate,
        objects=world.objects,
        keys=world.keys,
        limits=replace(DEFAULT_LIMITS, witness_wait_seconds=1.0, **limits),
        clock=world.hands.clock(),
        on_conflict=lambda _info, _name, says: found.append(says),
    )
    world.publisher.witnessing = witnesses
    world.publisher.on_published = witnesses.published
    try:
        yield witnesses, found
    finally:
        await witnesses.stop()


@asynccontextmanager
async def started(path: Path) -> AsyncIterator[tuple[World, LogInfo]]:
    """A world with a log of heads that has an event."""
    world = World(path)
    world.committer.start()
    try:
        info = world.add_log(HEAD_LOG)
        await world.put(info, b"one")
        yield world, info
    finally:
        await world.stop()


async def until(true: Callable[[], bool]) -> None:
    """Return when something holds that the submitter brings about by itself."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0.01)


def run(work: Any) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


def test_each_question_goes_on_from_what_was_cosigned(tmp_path: Path) -> None:
    """Proofs begin where the witness is, also after a restart that remembers by the kept checkpoint alone."""

    async def body() -> None:
        async with started(tmp_path) as (world, info):
            asked: list[tuple[int, int]] = []
            with lying_witness(cosigning(world, COSIGNERS[0], asked)) as url:
                async with witnessed(world, [url], "all") as (witnesses, _):
                    witnesses.start([info])
                    assert (await world.publisher.at_least(info, 1)).size == 1
                    await world.put(info, b"two", b"three")
                    assert (await world.publisher.at_least(info, 3)).size == 3
                async with witnessed(world, [url], "all") as (witnesses, _):
                    witnesses.start([info])
                    await world.put(info, b"four")
                    assert (await world.publisher.at_least(info, 4)).size == 4
            assert asked[:2] == [(0, 1), (1, 3)]
            assert [pair for pair in asked if pair[0] == 0] == [(0, 1)]

    run(body())


def test_what_is_kept_grows_in_size_or_cosignatures(tmp_path: Path) -> None:
    """A late cosignature joins the others on the same head; nothing smaller is ever put in its place."""

    async def body() -> None:
        async with started(tmp_path) as (world, info):
            puts: list[tuple[int, int]] = []
            replace_object = world.objects.replace

            def watched(key: str, data: bytes, seen: bytes | None) -> bool:
                done = replace_object(key, data, seen)
                if done and key == witnessed_key(info):
                    note = parse_note(data)
                    puts.append((parse_checkpoint(note.text).size, len(note.signatures)))
                return done

            world.objects.replace = watched  # type: ignore[method-assign]  # only watched
            with (
                lying_witness(cosigning(world, COSIGNERS[0], [])) as one,
                lying_witness(cosigning(world, COSIGNERS[1], [])) as two,
            ):
                async with witnessed(world, [one, two], "any") as (witnesses, _):
                    policy = witnesses.policy
                    witnesses.start([info])
                    for number in range(2, 8):
                        await world.put(info, b"next")
                        await world.publisher.at_least(info, number)
                    await until(lambda: puts[-1:] == [(7, 3)])
            assert puts == sorted(puts)
            stored = load_witnessed(world.objects, world.keys, info, policy)
            assert stored is not None
            assert (stored.published.size, set(stored.cosigned)) == (7, {"w0", "w1"})

    run(body())


@pytest.mark.parametrize("status", [404, 500])
def test_a_witness_that_fails_is_asked_less_and_less(tmp_path: Path, status: int) -> None:
    """Its pauses double, while heads go on; nobody waits for it in vain."""

    async def body() -> None:
        async with started(tmp_path) as (world, info):
            asked: list[bytes] = []

            def failing(body: bytes) -> tuple[int, bytes]:
                asked.append(body)
                return status, b""

            with lying_witness(failing) as url:
                async with witnessed(world, [url], "all", witness_backoff_seconds=30.0) as (witnesses, _):
                    witnesses.start([info])
                    for number in range(2, 22):
                        await world.put(info, b"next")
                        with pytest.raises(Problem) as refused:
                            await world.publisher.at_least(info, number)
                        assert refused.value.code.name == "not_witnessed_yet"
                        if len(asked) >= 2:
                            break
                    before = asyncio.get_running_loop().time()
                    with pytest.raises(Problem):
                        await world.publisher.latest(info)
                    assert asyncio.get_running_loop().time() - before < 0.5
                    assert 1 <= len(asked) <= 3

    run(body())


def test_a_contradiction_is_kept_beside_the_log(tmp_path: Path) -> None:
    """The log is stopped at once, what was found is stored, and a new gate finds it there."""

    async def body() -> None:
        async with started(tmp_path) as (world, info):
            with lying_witness(lambda _: (409, b"9\n")) as url:
                async with witnessed(world, [url], "all") as (witnesses, found):
                    witnesses.start([info])
                    await until(lambda: world.objects.get(conflict_key(info)) is not None)
                    assert found == ["it cosigned a head of 9 events, and this log never had one"]
                    for ask in (world.publisher.latest(info), world.publisher.at_least(info, 1)):
                        with pytest.raises(Problem):
                            await ask
            publisher = Publisher(world.store.reader, world.objects, world.heads, world.keys, world.limits)
            gate = Gate(world.store.reader, world.objects, world.keys, world.prover, publisher)
            mismatch = gate.check(info)
            assert mismatch is not None
            assert "another history" in mismatch.found

    run(body())


def test_a_kept_head_beyond_the_published_stops_the_log(tmp_path: Path) -> None:
    """Database and checkpoint set back, the cosigned one forgotten there: it is evidence."""
    (tmp_path / "older").mkdir()

    async def body() -> None:
        async with started(tmp_path) as (world, info):
            with lying_witness(cosigning(world, COSIGNERS[0], [])) as url:
                async with witnessed(world, [url], "all") as (witnesses, _):
                    witnesses.start([info])
                    await world.put(info, b"two")
                    kept = (await world.publisher.at_least(info, 2)).note
        async with started(tmp_path / "older") as (older, info):
            older.objects.put(witnessed_key(info), kept)
            async with witnessed(older, ["http://127.0.0.1:9"], "all") as (witnesses, _):
                witnesses.start([info])
                await until(lambda: bool(older.gate.refused()))
                assert "a head of 2 events was cosigned" in older.gate.refused()[0].found

    run(body())


@pytest.mark.parametrize("stands", [True, False])
def test_a_larger_head_that_stands_outside_is_another_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    """Between two nodes a witness may see the later head first. One that nobody published stops the log."""
    monkeypatch.setattr(Publisher, "shared", property(lambda _publisher: True))

    async def body() -> None:
        async with started(tmp_path) as (world, info):
            asked: list[tuple[int, int]] = []
            cosign, asked_first, published = cosigning(world, COSIGNERS[0], asked), Event(), Event()

            def answer(body: bytes) -> tuple[int, bytes]:
                if not asked_first.is_set():
                    asked_first.set()
                    assert published.wait(20)
                    return 409, b"3\n" if stands else b"4\n"
                if parse_add(body).old_size != 3:
                    return 409, b"3\n"
                return cosign(body)

            with lying_witness(answer) as url:
                async with witnessed(world, [url], "all") as (witnesses, found):
                    witnesses.start([info])
                    await until(asked_first.is_set)
                    await world.put(info, b"two", b"three")
                    await world.publisher.signed(info, 3)
                    published.set()
                    if stands:
                        await until(lambda: asked == [(3, 3)])
                        assert (await world.publisher.at_least(info, 3)).size == 3
                    else:
                        await until(lambda: bool(found))
                    assert bool(found) is not stands

    run(body())
