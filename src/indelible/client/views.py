"""The calls on views: deploy, look, ask."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgspec

from indelible.client.base import Calls, path_to, save
from indelible.client.results import Answer, Report, Version, View
from indelible.client.transport import Params
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.evidence import MEDIA_TYPE

_COMPILE_SECONDS = float(DEFAULT_LIMITS.compile_seconds)
"""How long a deployment's answer may take beyond the usual: the component is compiled before it."""


_FOLD_SECONDS = DEFAULT_LIMITS.report_fold_seconds
"""How long evidence of an answer may take beyond the usual: all events are folded before its first byte."""


class ViewCalls(Calls):
    """The views of a log."""

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
        path = path_to("logs", log, "views", name)
        if component is not None and config is None:
            reply = self.transport.send(
                "POST", path, content=component, repeatable=True, wait_seconds=_COMPILE_SECONDS
            )
            return self._decode(reply, View)
        body = {"builtin": builtin} if component is None else {"sha256": self.put_component(component)}
        if config is not None:
            body["config"] = config
        return self._decode(
            self._send_json("POST", path, body, repeatable=True, wait_seconds=_COMPILE_SECONDS), View
        )

    def put_component(self, component: bytes) -> str:
        """Store a component for a deployment by its SHA-256, which is returned (hex)."""
        digest = hashlib.sha256(component).hexdigest()
        self.transport.send("PUT", path_to("components", digest), content=component, repeatable=True)
        return digest

    def catalogue(self) -> list[Report]:
        """Return what can be deployed by name, each with its parameters and an example."""
        return self._decode(self.transport.send("GET", path_to("views", "catalogue")), _Catalogue).reports

    def view(self, log: str, name: str) -> View:
        """Return a view and how far it has folded."""
        return self._decode(self.transport.send("GET", path_to("logs", log, "views", name)), View)

    def views(self, log: str) -> list[View]:
        """Return the views of a log."""
        return self._decode(self.transport.send("GET", path_to("logs", log, "views")), _Views).views

    def versions(self, log: str, name: str) -> Iterator[Version]:
        """Give the versions of a view, the newest first, a page at a time."""
        path = path_to("logs", log, "views", name, "versions")
        before: int | None = None
        while True:
            params = [] if before is None else [("before", str(before))]
            page = self._decode(self.transport.send("GET", path, params=params), _Versions)
            yield from page.versions
            if page.next is None:
                return
            before = page.next

    def roll_back(self, log: str, name: str, version: int | None = None) -> View:
        """Let another version answer at once: the newest below the active one, or the one that is named.

        One that is named may be tried again by itself; without a name, each time goes one further back.
        """
        body = {} if version is None else {"version": version}
        path = path_to("logs", log, "views", name, "rollback")
        return self._decode(self._send_json("POST", path, body, repeatable=version is not None), View)

    def delete_view(self, log: str, name: str) -> None:
        """Delete a view; its log stays."""
        self.transport.send("DELETE", path_to("logs", log, "views", name))

    def query(
        self,
        log: str,
        view: str,
        params: Params = (),
        *,
        body: bytes = b"",
        accept: str | None = None,
        at: int | str | None = None,
        version: int | None = None,
    ) -> Answer:
        """Ask a view: parameters in order, repeats included. Waits for a replay as long as `retry` lasts.

        `at` asks for the answer as the view stood at a sequence, an instant (RFC 3339) or the end of a day,
        `version` for that of another version.
        With `accept="text/csv"` a table comes as CSV; `next` of the answer is the cursor for more rows.
        """
        of_when = [("at", at), ("version", version)]
        params = [*params, *((name, str(value)) for name, value in of_when if value is not None)]
        reply = self.transport.send(
            "POST",
            path_to("logs", log, "views", view, "query"),
            params=params,
            content=body,
            headers=None if accept is None else {"Accept": accept},
            repeatable=True,
        )
        return Answer(
            content_type=reply.headers.get("Content-Type", ""),
            body=reply.body,
            sequence=int(reply.headers.get("Indelible-Sequence", "0")),
            view=reply.headers.get("Indelible-View", ""),
            next=reply.headers.get("Indelible-Next"),
        )

    def query_evidence(
        self,
        log: str,
        view: str,
        file: BinaryIO,
        params: Params = (),
        *,
        body: bytes = b"",
        told: Callable[[int], object] = lambda _bytes: None,
    ) -> int:
        """Ask a view afresh, write the answer with its proof to `file`, and return the file's size in bytes.

        `examine_file` checks it. Parameters of the host: `fold=window` folds the events of the window alone,
        `_payloads=0` leaves the events out. `told` gets the number of bytes so far. What is written is of no
        use when an exception comes: a connection that breaks is not taken up.
        """
        with self.transport.stream(
            path_to("logs", log, "views", view, "query"),
            params,
            {"Accept": MEDIA_TYPE},
            question=body,
            wait_seconds=_FOLD_SECONDS,
        ) as pieces:
            return save(pieces, file, told)


class _Views(msgspec.Struct):
    views: list[View]


class _Versions(msgspec.Struct):
    versions: list[Version]
    next: int | None = None


class _Catalogue(msgspec.Struct):
    reports: list[Report]
