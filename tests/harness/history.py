"""Clients at several nodes whose history is recorded, and what must hold of it whatever happened."""

import itertools
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx
from tests.harness.nodes import Nodes, Recorder

VIEW = "compliance-report"
Work = Callable[[random.Random], None]


def made(client: httpx.Client, *names: str) -> None:
    """Make logs, each with a view."""
    for name in names:
        assert client.post("/logs", json={"name": name}).status_code == 201
        answer = client.post(f"/logs/{name}/views/{VIEW}", json={"builtin": VIEW})
        assert answer.status_code == 201, answer.text


def events_of(client: httpx.Client, log: str) -> list[tuple[int, str]]:
    """Sequence and id of all events of a log."""
    found: list[tuple[int, str]] = []
    while True:
        after = found[-1][0] if found else 0
        page = client.get(f"/logs/{log}/events", params={"after_sequence": after}).json()
        found += [(event["sequence"], event["payload"]["id"]) for event in page["events"]]
        if page["next"] is None:
            return found


@contextmanager
def recorded(nodes: Nodes, logs: Sequence[str]) -> Iterator[Recorder]:
    """Make logs, and have clients append to them and ask about them, at random nodes, for the block."""
    with nodes.client(0) as client:
        made(client, *logs)
    recorder = Recorder(nodes, list(logs))
    until = threading.Event()
    ask: Work = lambda rolls: recorder.ask(rolls, VIEW)  # noqa: E731 - one of three kinds of work

    def repeat(work: Work, seed: int) -> None:
        rolls = random.Random(seed)  # noqa: S311 - the same each time
        while not until.is_set():
            work(rolls)

    works: list[Work] = [*[recorder.append] * 4, *[recorder.look] * 2, ask]
    threads = [threading.Thread(target=repeat, args=(work, at)) for at, work in enumerate(works)]
    for thread in threads:
        thread.start()
    try:
        yield recorder
    finally:
        until.set()
        for thread in threads:
            thread.join(120)
        recorder.close()


def check_history(nodes: Nodes, recorder: Recorder) -> None:
    """What was told holds: gapless logs, each receipt true and once, in an order that agrees with time.

    All nodes answer alike, and no two checkpoints of one size were seen.
    """
    assert (recorder.wrong, recorder.stale) == ([], [])
    assert len(recorder.receipts) > 100
    answers = []
    for at in range(len(nodes.servers)):
        with nodes.client(at) as client:
            histories = {log: events_of(client, log) for log in recorder.logs}
            asked = [client.get(f"/logs/{log}/views/{VIEW}/query").text for log in recorder.logs]
            answers.append([re.sub(r'"asked_at":"[^"]*"', "", answer) for answer in asked])
            assert client.get("/readyz").status_code == 200
    for log, history in histories.items():
        assert [sequence for sequence, _ in history] == list(range(1, len(history) + 1))
        receipts = [receipt for receipt in recorder.receipts if receipt.log == log]
        told = {receipt.sequence: receipt.payload for receipt in receipts}
        assert len(told) == len(receipts)
        stored = dict(history)
        assert all(stored[at].encode() in payload for at, payload in told.items())
        assert len({name for _, name in history}) == len(history)
        in_order = sorted(receipts, key=lambda receipt: receipt.sequence)
        for before, after in itertools.pairwise(in_order):
            assert before.sent < after.answered
    assert answers[0] == answers[1] == answers[2]
    sizes = [(origin, size) for origin, size, _ in recorder.checkpoints]
    assert len(sizes) == len(set(sizes))
