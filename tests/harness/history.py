"""Clients at several nodes whose history is recorded, and what must hold of it whatever happened."""

import base64
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from tests.harness.asking import timeless
from tests.harness.nodes import Nodes, Receipt, Recorder

from indelible.client import verify_receipt
from indelible.merkle.proofs import verify_consistency
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.note import parse_note

VIEW = "compliance-report"
Work = Callable[[random.Random], None]


def made(client: httpx.Client, *names: str) -> None:
    """Make logs, each with a view."""
    for name in names:
        assert client.post("/logs", json={"name": name}).status_code == 201
        answer = client.post(f"/logs/{name}/views/{VIEW}", json={"builtin": VIEW})
        assert answer.status_code == 201, answer.text


def stored(client: httpx.Client, log: str) -> list[dict[str, Any]]:
    """All events of a log, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["sequence"] if found else 0
        page = client.get(f"/logs/{log}/events", params={"after_sequence": after}).json()
        found += page["events"]
        if page["next"] is None:
            return found


def events_of(client: httpx.Client, log: str) -> list[tuple[int, str]]:
    """Sequence and id of all events of a log."""
    return [(event["sequence"], event["payload"]["id"]) for event in stored(client, log)]


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

    All nodes answer alike. No two checkpoints of one size were seen, and the last continues each of them.
    """
    assert (recorder.wrong, recorder.stale) == ([], [])
    assert len(recorder.receipts) > 100
    answers = []
    for at in range(len(nodes.servers)):
        with nodes.client(at) as client:
            histories = {log: stored(client, log) for log in recorder.logs}
            asked = [client.get(f"/logs/{log}/views/{VIEW}/query").content for log in recorder.logs]
            answers.append([timeless(answer) for answer in asked])
            assert client.get("/readyz").status_code == 200
    for log, history in histories.items():
        _check_log(history, [receipt for receipt in recorder.receipts if receipt.log == log])
    assert answers[0] == answers[1] == answers[2]
    sizes = [(origin, size) for origin, size, _ in recorder.checkpoints]
    assert len(sizes) == len(set(sizes))
    with nodes.client(0) as client:
        for log in recorder.logs:
            _check_checkpoints(client, log, recorder)


def _check_log(history: Sequence[dict[str, Any]], receipts: Sequence[Receipt]) -> None:
    assert [event["sequence"] for event in history] == list(range(1, len(history) + 1))
    assert len({event["payload"]["id"] for event in history}) == len(history)
    assert len({receipt.sequence for receipt in receipts}) == len(receipts)
    for receipt in receipts:
        event, told = history[receipt.sequence - 1], receipt.told
        assert event["payload"] == json.loads(receipt.payload)
        assert (event["time"], event["writer"], event["salt"]) == (told.time, told.writer, told.salt)
        verify_receipt(told, receipt.payload)  # so the leaf that was told is the leaf of what is stored
    in_order = sorted(receipts, key=lambda receipt: receipt.sequence)
    for before, after in itertools.pairwise(in_order):
        assert before.sent < after.answered


def _check_checkpoints(client: httpx.Client, log: str, recorder: Recorder) -> None:
    """The last checkpoint continues all that were seen of its log."""
    last = parse_checkpoint(parse_note(client.get(f"/logs/{log}/checkpoint").content).text)
    for origin, size, root in recorder.checkpoints:
        if origin == last.origin:
            asked = client.get(f"/logs/{log}/proof/consistency", params={"from": size, "to": last.size})
            assert asked.status_code == 200, asked.text
            proof = [bytes.fromhex(each) for each in asked.json()["hashes"]]
            verify_consistency(size, last.size, base64.b64decode(root), last.root, proof)
