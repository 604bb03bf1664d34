"""The calls on logs: create, append, read, prove."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from indelible.client.base import Calls, path_to, save
from indelible.client.continuity import Sighting, check_history
from indelible.client.errors import NotProved
from indelible.client.examine_proof import open_proof
from indelible.client.pins import PinStore
from indelible.client.reading import EventReader, Order, event_params
from indelible.client.results import (
    BatchReceipt,
    ConsistencyProof,
    Event,
    EventPage,
    InclusionProof,
    Log,
    LogKey,
    Receipt,
)
from indelible.client.tiled import TiledLog
from indelible.client.transport import Reply
from indelible.client.verify import is_of
from indelible.notes.evidence import MEDIA_TYPE
from indelible.notes.tlogproof import parse_tlog_proof

_NDJSON = "application/x-ndjson"


class LogCalls(Calls):
    """Logs and their events. With `pins`, a checkpoint that a call brings must continue the last one."""

    pins: PinStore | None = None

    def create_log(self, name: str, *, erasable: bool = False, public_proofs: bool = False) -> Log:
        """Create a log. A name that is taken is the refusal `name_taken`, with the fact `log_id`."""
        wanted = {"erasable": erasable, "public_proofs": public_proofs}
        body = {"name": name, **{member: True for member, value in wanted.items() if value}}
        return self._decode(self._send_json("POST", "/logs", body), Log)

    def publish_proofs(self, log: str, *, public: bool = True) -> Log:
        """Let all who know the log's id see its checkpoint, tiles and keys without a key, or nobody again."""
        body = {"public_proofs": public}
        return self._decode(self._send_json("PATCH", path_to("logs", log), body, repeatable=True), Log)

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
        being doubled. The head under a proof is not compared with the pin, since an append that had its
        effect must not look failed: `check_receipt` does that.
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
        note = self.transport.send("GET", path_to("logs", log, "checkpoint")).body
        self.check_history(log, note)
        return note

    def check_history(self, log: str, checkpoint: bytes) -> Sighting | None:
        """Compare a checkpoint with the last one seen, and remember it; None for a client without pins.

        The calls that bring a checkpoint do this by themselves.

        Raises:
            HistoryChanged: it is another history; the exception has both notes, and the file with them.
            NotProved: the checkpoint is malformed, or not signed with the key that was first seen.
            PinsUnusable: what was seen cannot be read or kept.
        """
        if self.pins is None:
            return None
        return check_history(self.pins, TiledLog(self.transport, path_to("logs", log)), checkpoint)

    def check_receipt(self, log: str, receipt: Receipt) -> Sighting | None:
        """Do what `check_history` does with the head under a receipt's proof; None where it has none."""
        if self.pins is None or receipt.proof is None:
            return None
        return self.check_history(log, _head_under(receipt.proof.encode()))

    def log_keys(self, log: str) -> Any:
        """Return what the server says of the log's signing keys. Trust a key that came another way."""
        return self._parse(self.transport.send("GET", path_to("logs", log, "keys")).body, object)

    def rotate_key(self, log: str) -> LogKey:
        """Let another key follow the one that signs the log's heads, and return it with its statement."""
        return self._decode(self.transport.send("POST", path_to("logs", log, "keys")), LogKey)

    def proof(self, log: str, sequence: int) -> bytes:
        """Return the proof of one event as a file (C2SP tlog-proof); `verify_proof` checks it."""
        text = self.transport.send("GET", path_to("logs", log, "events", str(sequence), "proof")).body
        if self.pins is not None:
            self.check_history(log, _head_under(text))
        return text

    def proof_of(self, receipt: Receipt) -> bytes:
        """Get the proof of the event that a receipt speaks of, as `proof` does.

        Raises:
            NotProved: what the server gives is no proof of that event.
        """
        log_id = receipt.origin.rpartition("/logs/")[2]
        text = self.proof(log_id, receipt.sequence)
        try:
            opened = open_proof(text)
        except ValueError as error:
            raise NotProved(f"the server gives no proof of event {receipt.sequence}: {error}") from None
        if not is_of(opened, receipt):
            raise NotProved(
                f"the log has another event {receipt.sequence} than the receipt: keep the receipt as evidence"
            )
        return text

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
        params = _given(first=first, last=last, **{"from": from_, "to": to})
        reply = self.transport.send("GET", path_to("logs", log, "proof", "range"), params=params)
        self.check_history(log, self._decode(reply, _Headed).checkpoint.encode())
        return reply.body

    def evidence(
        self,
        log: str,
        file: BinaryIO,
        *,
        first: int | None = None,
        last: int | None = None,
        from_: str | None = None,
        to: str | None = None,
        told: Callable[[int], object] = lambda _bytes: None,
    ) -> int:
        """Write the evidence of a range of any size to `file`, and return its size in bytes.

        `examine_file` checks it. `told` gets the number of bytes so far. What is written is of no use when
        an exception comes: a connection that breaks is not taken up.
        """
        params = _given(first=first, last=last, **{"from": from_, "to": to})
        with self.transport.stream(
            path_to("logs", log, "evidence"), params, {"Accept": MEDIA_TYPE}
        ) as pieces:
            return save(pieces, file, told)

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
        proof = self._decode(reply, InclusionProof)
        self.check_history(log, proof.checkpoint.encode())
        return proof

    def consistency(self, log: str, from_size: int, *, to_size: int | None = None) -> ConsistencyProof:
        """Return the proof that the tree of `from_size` is a prefix of the tree of `to_size`."""
        params = [("from", str(from_size))] + ([("to", str(to_size))] if to_size is not None else [])
        reply = self.transport.send("GET", path_to("logs", log, "proof", "consistency"), params=params)
        proof = self._decode(reply, ConsistencyProof)
        self.check_history(log, proof.checkpoint.encode())
        return proof


def _head_under(proof: bytes) -> bytes:
    try:
        return parse_tlog_proof(proof).checkpoint
    except ValueError as error:
        raise NotProved(f"what came is no proof: {error}") from None


class _Headed(msgspec.Struct):
    checkpoint: str


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


def _given(**values: int | str | None) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _replayed(reply: Reply) -> bool:
    return bool(reply.headers.get("Idempotent-Replayed") == "true")
