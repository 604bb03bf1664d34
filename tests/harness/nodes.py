"""Several nodes as processes on one database and one data directory, and clients that record."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
from tests.harness.server import RunningServer, ServerEndedError, start_server

from indelible.client import Receipt as Told


class Receipt(NamedTuple):
    """An append that was answered: when it was sent and answered, and what it was told."""

    log: str
    payload: bytes
    sequence: int
    told: Told
    sent: float
    answered: float


class Nodes:
    """Nodes that may be killed and started again; clients ask whichever lives."""

    def __init__(
        self,
        data: Path,
        url: str,
        count: int = 3,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data
        self._options = options
        self._env = env
        self.url = url
        self.servers: list[RunningServer | None] = [None] * count
        self.ended: list[str] = []
        for at in range(count):
            self.start(at)

    def start(self, at: int) -> None:
        """Start a node; the first of all makes the deployment."""
        self.servers[at] = start_server(self._data, "--database", self.url, *self._options, env=self._env)

    def kill(self, at: int) -> None:
        """End a node as a crash does."""
        server, self.servers[at] = self.servers[at], None
        if server is not None:
            server.kill()
            server.log.unlink(missing_ok=True)

    def stop(self) -> None:
        """End all, in order."""
        for at, server in enumerate(self.servers):
            if server is not None:
                server.stop()
                self.kill(at)

    def any(self, chance: random.Random) -> RunningServer:
        """A node that lives."""
        while True:
            alive = [server for server in self.servers if server is not None]
            if alive:
                return chance.choice(alive)
            time.sleep(0.05)

    def client(self, at: int) -> httpx.Client:
        """A client of one node."""
        server = self.servers[at]
        assert server is not None
        return server.client()

    def keep_killing(self, chance: random.Random, until: threading.Event, pause: float) -> None:
        """Kill a node now and then, and start it again."""
        while not until.wait(pause):
            at = chance.randrange(len(self.servers))
            self.kill(at)
            try:
                self.start(at)
            except ServerEndedError as error:
                self.ended.append(str(error))
                return


class Recorder:
    """Appends and asks at random nodes, and keeps what was told."""

    def __init__(self, nodes: Nodes, logs: list[str]) -> None:
        self.nodes = nodes
        self.logs = logs
        self.receipts: list[Receipt] = []
        self.checkpoints: set[tuple[str, int, str]] = set()
        self.stale: list[str] = []
        self.wrong: list[str] = []
        self.refused: Counter[str] = Counter()  # appends, by the effect that they were told to have
        self.acknowledged = dict.fromkeys(logs, 0)
        self._keeping = threading.Lock()
        self._clients = threading.local()
        self._opened: list[httpx.Client] = []

    def close(self) -> None:
        """Close what was opened by those who are done."""
        for client in self._opened:
            client.close()

    def append(self, chance: random.Random) -> None:
        """Append one event, again with the same key until it is answered."""
        log, payload = chance.choice(self.logs), f'{{"id":"{uuid.uuid4()}"}}'.encode()
        headers = {"idempotency-key": uuid.uuid4().hex}
        sent = time.monotonic()
        while True:
            answer = self._try(
                chance, lambda http: http.post(f"/logs/{log}/append", content=payload, headers=headers)
            )
            if answer is not None and answer.status_code == 201:
                break
            if answer is not None and not self._may_refuse(answer):
                self.wrong.append(answer.text)
                return
            time.sleep(0.02)
        told = msgspec.json.decode(answer.content, type=Told)
        sequence = told.sequence
        with self._keeping:
            self.receipts.append(Receipt(log, payload, sequence, told, sent, time.monotonic()))
            self.acknowledged[log] = max(self.acknowledged[log], sequence)

    def _may_refuse(self, answer: httpx.Response) -> bool:
        """Whether an append may be refused so: for now, and with a word on whether it had an effect."""
        if answer.status_code != 503 or (effect := answer.json()["effect"]) not in {"none", "unknown"}:
            return False
        with self._keeping:
            self.refused[effect] += 1
        return True

    def look(self, chance: random.Random) -> None:
        """Ask any node for the head, the newest event and a checkpoint: none is older than what was told."""
        log = chance.choice(self.logs)
        with self._keeping:
            known = self.acknowledged[log]
        answer = self._try(chance, lambda http: http.get(f"/logs/{log}"))
        if answer is not None and answer.status_code == 200:
            self._expect(answer.json()["head"]["size"] >= known, f"head of {log} before {known}")
        answer = self._try(
            chance, lambda http: http.get(f"/logs/{log}/events", params={"after_sequence": known - 1})
        )
        if known and answer is not None and answer.status_code == 200:
            self._expect(bool(answer.json()["events"]), f"no event {known} in {log}")
        answer = self._try(chance, lambda http: http.get(f"/logs/{log}/checkpoint"))
        if answer is not None and answer.status_code == 200:
            origin, size, root = answer.text.split("\n")[:3]
            with self._keeping:
                self.checkpoints.add((origin, int(size), root))

    def ask(self, chance: random.Random, view: str) -> None:
        """Ask any node's view: it covers what was told before."""
        log = chance.choice(self.logs)
        with self._keeping:
            known = self.acknowledged[log]
        answer = self._try(chance, lambda http: http.get(f"/logs/{log}/views/{view}/query"))
        if answer is not None and answer.status_code == 200:
            covers = int(answer.headers["indelible-sequence"])
            self._expect(covers >= known, f"view of {log} covers {covers}, not {known}")
        elif answer is not None and answer.status_code != 503:
            self.wrong.append(answer.text)

    def _expect(self, fresh: bool, words: str) -> None:
        if not fresh:
            self.stale.append(words)

    def _try(
        self, chance: random.Random, call: Callable[[httpx.Client], httpx.Response]
    ) -> httpx.Response | None:
        """The answer of any node; None where it went away meanwhile."""
        server = self.nodes.any(chance)
        clients: dict[str, httpx.Client] = self._clients.__dict__
        if server.url not in clients:
            clients[server.url] = server.client()
            self._opened.append(clients[server.url])
        try:
            return call(clients[server.url])
        except httpx.TransportError:
            return None
