"""The calls on logs: create, append, read, prove."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from indelible.client.base import Calls, path_to
from indelible.client.reading import EventReader, Order, event_params
from indelible.client.results import (
    BatchReceipt,
    ConsistencyProof,
    Event,
    EventPage,
    InclusionProof,
    Log,
    Receipt,
)
from indelible.client.transport import Reply

_NDJSON = "application/x-ndjson"


class LogCalls(Calls):
    """Logs and their events."""

    def create_log(self, name: str, *, erasable: bool = False) -> Log:
        """Create a log. A name that is taken is the refusal `name_taken`, with the fact `log_id`."""
        body = {"name": name, "erasable": True} if erasable else {"name": name}
        return self._decode(self._send_json("POST", "/logs", body), Log)

    def log(self, log: str) -> Log:
        """Return a log and its head."""
        return self._decode(self.transport.send("GET", path_to("logs", log)), Log)

    def logs(self) -> Iterator[Log]:
        """Give all logs that the key may see, by name."""
        after = ""
        while True:
            params = [("after", after)] if after else []
            page = self._decode(self.transport.send("GET", "/logs", params=params), _Logs)
            yield from page.logs
            if page.next is None:
                return
            after = page.next

    # Appends

    def append(
        self,
        log: str,
        event: bytes | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        expected_sequence: int | None = None,
        proof: bool = False,
    ) -> Receipt:
        """Append one event: these exact bytes, or a mapping written as JSON.

        A key is made where none is given, so that an append whose answer got lost is tried again without
        being doubled.
        """
        headers = _append_headers(idempotency_key, expected_sequence)
        if proof:
            headers["Prefer"] = "return=proof"
        reply = self.transport.send(
            "POST",
            path_to("logs", log, "append"),
            content=payload_of(event),
            headers=headers,
            repeatable=True,
        )
        return msgspec.structs.replace(self._decode(reply, Receipt), replayed=_replayed(reply))

    def append_batch(
        self,
        log: str,
        events: Iterable[bytes | Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        expected_sequence: int | None = None,
        receipts: bool = False,
    ) -> BatchReceipt:
        """Append events, all or none. Each must be one JSON value; its bytes are kept as they are.

        `receipts` asks for each event's salt and leaf hash.

        Raises:
            ValueError: an event is not JSON.
        """
        payloads = [payload_of(event) for event in events]
        for payload in payloads:
            msgspec.json.decode(payload, type=msgspec.Raw)  # else one element could pass for two
        return self._append_body(
            log,
            b"[" + b",".join(payloads) + b"]",
            "application/json",
            _append_headers(idempotency_key, expected_sequence),
            receipts=receipts,
        )

    def append_ndjson(
        self,
        log: str,
        body: bytes,
        *,
        idempotency_key: str | None = None,
        expected_sequence: int | None = None,
    ) -> BatchReceipt:
        """Append the lines of `body`, all or none."""
        return self._append_body(log, body, _NDJSON, _append_headers(idempotency_key, expected_sequence))

    def _append_body(
        self, log: str, body: bytes, kind: str, headers: dict[str, str], *, receipts: bool = False
    ) -> BatchReceipt:
        reply = self.transport.send(
            "POST",
            path_to("logs", log, "append_batch"),
            params=[("receipts", "true")] if receipts else [],
            content=body,
            headers={**headers, "Content-Type": kind},
            repeatable=True,
        )
        return msgspec.structs.replace(self._decode(reply, BatchReceipt), replayed=_replayed(reply))

    # Reading

    def events(
        self,
        log: str,
        *,
        after_sequence: int | None = None,
        limit: int | None = None,
        from_: str | None = None,
        to: str | None = None,
        order: Order = "asc",
        exact: bool = False,
        wait_seconds: float = 0.0,
    ) -> EventPage:
        """Return one page. `from_` and `to` are times of receipt; `wait_seconds` waits for what comes."""
        params = event_params(after_sequence, limit, from_, to, order, exact=exact)
        if wait_seconds:
            params.append(("wait", f"{wait_seconds:g}"))
        reply = self.transport.send(
            "GET", path_to("logs", log, "events"), params=params, wait_seconds=wait_seconds
        )
        return self._decode(reply, EventPage)

    def stream_events(
        self,
        log: str,
        *,
        after_sequence: int | None = None,
        from_: str | None = None,
        to: str | None = None,
        order: Order = "asc",
        exact: bool = False,
    ) -> Iterator[Event]:
        """Give events of any number in bounded memory; a broken connection is taken up where it broke."""
        reader = self.read_lines(
            log, after_sequence=after_sequence, from_=from_, to=to, order=order, exact=exact
        )
        for line in reader:
            yield self._parse(line, Event)

    def read_lines(
        self,
        log: str,
        *,
        after_sequence: int | None = None,
        from_: str | None = None,
        to: str | None = None,
        order: Order = "asc",
        exact: bool = False,
    ) -> EventReader:
        """Do what `stream_events` does, with each event as its line of NDJSON, without the line feed."""
        params = event_params(after_sequence, None, from_, to, order, exact=exact)
        return EventReader(self.transport, path_to("logs", log, "events"), params)

    def follow_events(
        self, log: str, *, after_sequence: int | None = None, exact: bool = False, wait_seconds: float = 30.0
    ) -> Iterator[Event]:
        """Give events as they come, without an end."""
        after = after_sequence or 0
        while True:
            page = self.events(log, after_sequence=after, exact=exact, wait_seconds=wait_seconds)
            yield from page.events
            if page.events:
                after = page.events[-1].sequence

    def event(self, log: str, sequence: int) -> Event:
        """Return one event."""
        return self._decode(self.transport.send("GET", path_to("logs", log, "events", str(sequence))), Event)

    def payload(self, log: str, sequence: int) -> bytes:
        """Return the exact bytes that one event's commitment covers."""
        return self.transport.send("GET", path_to("logs", log, "events", str(sequence), "raw")).body

    # Proofs

    def checkpoint(self, log: str) -> bytes:
        """Return the newest published checkpoint, a signed note."""
        return self.transport.send("GET", path_to("logs", log, "checkpoint")).body

    def log_keys(self, log: str) -> Any:
        """Return what the server says of the log's signing keys. Trust a key that came another way."""
        return self._parse(self.transport.send("GET", path_to("logs", log, "keys")).body, object)

    def proof(self, log: str, sequence: int) -> bytes:
        """Return the proof of one event as a file (C2SP tlog-proof); `verify_proof` checks it."""
        return self.transport.send("GET", path_to("logs", log, "events", str(sequence), "proof")).body

    def range_proof(
        self,
        log: str,
        *,
        first: int | None = None,
        last: int | None = None,
        from_: str | None = None,
        to: str | None = None,
    ) -> bytes:
        """Return the proof of a run of events, or of a window of time, as a file; `examine` checks it."""
        given = {"first": first, "last": last, "from": from_, "to": to}
        params = [(name, str(value)) for name, value in given.items() if value is not None]
        return self.transport.send("GET", path_to("logs", log, "proof", "range"), params=params).body

    def head_proof(self, log: str, *, min_size: int | None = None) -> bytes:
        """Return the proof that a head of this log stands in the deployment's log of heads, as a file."""
        params = [] if min_size is None else [("min_size", str(min_size))]
        return self.transport.send("GET", path_to("logs", log, "proof", "deployment"), params=params).body

    def deployment_checkpoint(self) -> bytes:
        """Return the newest checkpoint of the deployment's log of heads; it needs no key."""
        return self.transport.send("GET", path_to("deployment", "checkpoint")).body

    def deployment_keys(self) -> Any:
        """Return what the server says of the keys of its log of heads. Trust a key that came another way."""
        return self._parse(self.transport.send("GET", path_to("deployment", "keys")).body, object)

    def inclusion(self, log: str, sequence: int, *, size: int | None = None) -> InclusionProof:
        """Return the proof that an event is in the tree of `size`, by default the published one."""
        params = [("sequence", str(sequence))] + ([("size", str(size))] if size is not None else [])
        reply = self.transport.send("GET", path_to("logs", log, "proof", "inclusion"), params=params)
        return self._decode(reply, InclusionProof)

    def consistency(self, log: str, from_size: int, *, to_size: int | None = None) -> ConsistencyProof:
        """Return the proof that the tree of `from_size` is a prefix of the tree of `to_size`."""
        params = [("from", str(from_size))] + ([("to", str(to_size))] if to_size is not None else [])
        reply = self.transport.send("GET", path_to("logs", log, "proof", "consistency"), params=params)
        return self._decode(reply, ConsistencyProof)


class _Logs(msgspec.Struct):
    logs: list[Log]
    next: str | None = None


def payload_of(event: bytes | Mapping[str, Any]) -> bytes:
    """Return the bytes to append: those given, or the mapping as compact JSON."""
    return event if isinstance(event, bytes) else msgspec.json.encode(event)


def _append_headers(idempotency_key: str | None, expected_sequence: int | None) -> dict[str, str]:
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    if expected_sequence is not None:
        headers["Expected-Sequence"] = str(expected_sequence)
    return headers


def _replayed(reply: Reply) -> bool:
    return bool(reply.headers.get("Idempotent-Replayed") == "true")
