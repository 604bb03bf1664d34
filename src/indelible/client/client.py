"""The client: one method for each call of the HTTP contract, typed answers, safe retries."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from indelible.client.errors import UnexpectedAnswer
from indelible.client.reading import EventReader, Order, event_params
from indelible.client.results import (
    Answer,
    BatchReceipt,
    ConsistencyProof,
    Event,
    EventPage,
    InclusionProof,
    Key,
    Log,
    Receipt,
    View,
    Workspace,
)
from indelible.client.transport import Params, Reply, Retry, Transport

DEFAULT_URL = "http://127.0.0.1:8000"
_NDJSON = "application/x-ndjson"
_T = TypeVar("_T")


class Client:
    """Talks to one server with one key; use it from one thread at a time, or make one for each.

    `{log}` arguments take a log's id or its name. Every method raises `Problem` for a refusal and
    `Unreachable` where no answer came, after trying again where that is safe.

    Args:
        url: where the server answers.
        key: the secret of an API key; None for a server that runs without keys.
        retry: how long to persist.
        timeout_seconds: how long one exchange may take.
        certificates: a file of certificates to trust in place of the system's.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        retry: Retry | None = None,
        timeout_seconds: float = 60.0,
        certificates: str | None = None,
    ) -> None:
        self._transport = Transport(
            url,
            key,
            retry=retry or Retry(),
            timeout_seconds=timeout_seconds,
            certificates=certificates,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # Logs

    def create_log(self, name: str, *, erasable: bool = False) -> Log:
        """Create a log. A name that is taken is the refusal `name_taken`, with the fact `log_id`."""
        body = {"name": name, "erasable": True} if erasable else {"name": name}
        return self._decode(self._json("POST", "/logs", body), Log)

    def log(self, log: str) -> Log:
        """Return a log and its head."""
        return self._decode(self._transport.send("GET", _path("logs", log)), Log)

    def logs(self) -> Iterator[Log]:
        """Give all logs that the key may see, by name."""
        after = ""
        while True:
            params = [("after", after)] if after else []
            page = self._decode(self._transport.send("GET", "/logs", params=params), _Logs)
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
        reply = self._transport.send(
            "POST", _path("logs", log, "append"), content=payload_of(event), headers=headers, repeatable=True
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
        reply = self._transport.send(
            "POST",
            _path("logs", log, "append_batch"),
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
        reply = self._transport.send(
            "GET", _path("logs", log, "events"), params=params, wait_seconds=wait_seconds
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
        return EventReader(self._transport, _path("logs", log, "events"), params)

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
        return self._decode(self._transport.send("GET", _path("logs", log, "events", str(sequence))), Event)

    def payload(self, log: str, sequence: int) -> bytes:
        """Return the exact bytes that one event's commitment covers."""
        return self._transport.send("GET", _path("logs", log, "events", str(sequence), "raw")).body

    # Proofs

    def checkpoint(self, log: str) -> bytes:
        """Return the newest published checkpoint, a signed note."""
        return self._transport.send("GET", _path("logs", log, "checkpoint")).body

    def log_keys(self, log: str) -> Any:
        """Return what the server says of the log's signing keys. Trust a key that came another way."""
        return self._parse(self._transport.send("GET", _path("logs", log, "keys")).body, object)

    def inclusion(self, log: str, sequence: int, *, size: int | None = None) -> InclusionProof:
        """Return the proof that an event is in the tree of `size`, by default the published one."""
        params = [("sequence", str(sequence))] + ([("size", str(size))] if size is not None else [])
        reply = self._transport.send("GET", _path("logs", log, "proof", "inclusion"), params=params)
        return self._decode(reply, InclusionProof)

    def consistency(self, log: str, from_size: int, *, to_size: int | None = None) -> ConsistencyProof:
        """Return the proof that the tree of `from_size` is a prefix of the tree of `to_size`."""
        params = [("from", str(from_size))] + ([("to", str(to_size))] if to_size is not None else [])
        reply = self._transport.send("GET", _path("logs", log, "proof", "consistency"), params=params)
        return self._decode(reply, ConsistencyProof)

    # Views

    def deploy(
        self,
        log: str,
        name: str,
        *,
        component: bytes | None = None,
        builtin: str | None = None,
        config: Any = None,
    ) -> View:
        """Deploy a view: a component, or a built-in one by its name. The same again makes no new version.

        Raises:
            ValueError: neither or both of `component` and `builtin`.
        """
        if (component is None) == (builtin is None):
            raise ValueError("give either a component or the name of a built-in view")
        path = _path("logs", log, "views", name)
        if component is not None and config is None:
            return self._decode(self._transport.send("POST", path, content=component, repeatable=True), View)
        body = {"builtin": builtin} if component is None else {"sha256": self.put_component(component)}
        if config is not None:
            body["config"] = config
        return self._decode(self._json("POST", path, body, repeatable=True), View)

    def put_component(self, component: bytes) -> str:
        """Store a component for a deployment by its SHA-256, which is returned (hex)."""
        import hashlib  # noqa: PLC0415 - few need it

        digest = hashlib.sha256(component).hexdigest()
        self._transport.send("PUT", _path("components", digest), content=component, repeatable=True)
        return digest

    def view(self, log: str, name: str) -> View:
        """Return a view and how far it has folded."""
        return self._decode(self._transport.send("GET", _path("logs", log, "views", name)), View)

    def views(self, log: str) -> list[View]:
        """Return the views of a log."""
        return self._decode(self._transport.send("GET", _path("logs", log, "views")), _Views).views

    def delete_view(self, log: str, name: str) -> None:
        """Delete a view; its log stays."""
        self._transport.send("DELETE", _path("logs", log, "views", name))

    def query(self, log: str, view: str, params: Params = (), *, body: bytes = b"") -> Answer:
        """Ask a view: parameters in order, repeats included. Waits for a replay as long as `retry` lasts."""
        reply = self._transport.send(
            "POST",
            _path("logs", log, "views", view, "query"),
            params=params,
            content=body,
            repeatable=True,
        )
        return Answer(
            content_type=reply.headers.get("Content-Type", ""),
            body=reply.body,
            sequence=int(reply.headers.get("Indelible-Sequence", "0")),
            view=reply.headers.get("Indelible-View", ""),
        )

    # Keys and workspaces

    def create_key(
        self,
        *,
        label: str,
        scopes: Sequence[str] = (),
        preset: str | None = None,
        logs: Sequence[str] | None = None,
        views: Sequence[str] | None = None,
        not_before: str | None = None,
        expires: str | None = None,
        workspace: str | None = None,
    ) -> Key:
        """Make a key that grants no more than this client's. Its secret is in this answer only."""
        members = {
            "label": label,
            "scopes": list(scopes) or None,
            "preset": preset,
            "logs": list(logs) if logs is not None else None,
            "views": list(views) if views is not None else None,
            "not_before": not_before,
            "expires": expires,
            "workspace": workspace,
        }
        given = {name: value for name, value in members.items() if value is not None}
        return self._decode(self._json("POST", "/keys", given), Key)

    def keys(self) -> list[Key]:
        """Return the keys of the workspace, without secrets."""
        return self._decode(self._transport.send("GET", "/keys"), _Keys).keys

    def revoke_key(self, key_id: str) -> None:
        """Revoke a key, from the next request on."""
        self._transport.send("DELETE", _path("keys", key_id), repeatable=True)

    def create_workspace(self, name: str) -> Workspace:
        """Make a workspace; its first key's secret is in this answer only."""
        return self._decode(self._json("POST", "/workspaces", {"name": name}), Workspace)

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces."""
        return self._decode(self._transport.send("GET", "/workspaces"), _Workspaces).workspaces

    def ready(self) -> Any:
        """Return what `/readyz` says. A server that is not ready is a refusal."""
        return self._parse(self._transport.send("GET", "/readyz").body, object)

    def _json(self, method: str, path: str, body: Any, *, repeatable: bool = False) -> Reply:
        return self._transport.send(
            method,
            path,
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
            repeatable=repeatable,
        )

    def _decode(self, reply: Reply, kind: type[_T]) -> _T:
        return self._parse(reply.body, kind)

    def _parse(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise UnexpectedAnswer(f"{self._transport.url} answered unlike Indelible: {error}") from None


class _Logs(msgspec.Struct):
    logs: list[Log]
    next: str | None = None


class _Views(msgspec.Struct):
    views: list[View]


class _Keys(msgspec.Struct):
    keys: list[Key]


class _Workspaces(msgspec.Struct):
    workspaces: list[Workspace]


def payload_of(event: bytes | Mapping[str, Any]) -> bytes:
    """Return the bytes to append: those given, or the mapping as compact JSON."""
    return event if isinstance(event, bytes) else msgspec.json.encode(event)


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _append_headers(idempotency_key: str | None, expected_sequence: int | None) -> dict[str, str]:
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    if expected_sequence is not None:
        headers["Expected-Sequence"] = str(expected_sequence)
    return headers


def _replayed(reply: Reply) -> bool:
    return bool(reply.headers.get("Idempotent-Replayed") == "true")
