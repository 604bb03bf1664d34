"""What a route says about itself: enough to find it, to check a request, and to describe it in OpenAPI."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from indelible.http.params import Param
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Request, Stream
from indelible.model.limits import Limits

Handler = Callable[[Request, ServicesPort], Awaitable[Answer | Stream]]
JSON = "application/json"
NDJSON = "application/x-ndjson"
BYTES = "application/octet-stream"
TEXT = "text/plain"
HTML = "text/html"
WASM = "application/wasm"

COMMON = (
    "malformed",
    "unauthenticated",
    "forbidden",
    "rate_limited",
    "internal",
    "objects_unreachable",
    "store_unavailable",
    "stopping",
)
"""Refusals that every call with a key can give; those for Host and Origin come with `--no-auth`."""


class Body(NamedTuple):
    """A body that a call reads: its limit in bytes, and its media types, each with its type if it has one."""

    limit: Callable[[Limits], int]
    content: Mapping[str, type[Struct] | None]
    required: bool = True
    description: str = ""


class Reply(NamedTuple):
    """A status that a call answers with, and what is in it."""

    status: int
    description: str
    content: Mapping[str, type[Struct] | None]
    headers: Sequence[str] = ()


class Route(NamedTuple):
    """One call. `{name}` in the template is one segment of the path, `{name...}` the rest of it."""

    method: str
    template: str
    name: str
    summary: str
    handler: Handler
    replies: tuple[Reply, ...]
    tag: str
    params: tuple[Param, ...] = ()
    open_params: bool = False  # the parameters belong to the view
    headers: tuple[str, ...] = ()
    body: Body | None = None
    codes: tuple[str, ...] = ()  # beyond COMMON
    needs_key: bool = True
    public: bool = False  # needs no key for a log whose proofs are public, named by its id
    produces: tuple[str, ...] = ()  # what Accept must allow; empty: it is not looked at
    wait_param: str | None = None  # given, the call may wait, and ends when the client has gone


class _Node:
    __slots__ = ("named", "rest", "routes", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.named: _Node | None = None
        self.rest: _Node | None = None
        self.routes: dict[str, Route] = {}

    def step(self, segment: str) -> "_Node":
        """Return the node for one segment of a template, made where there is none."""
        if not segment.startswith("{"):
            return self.words.setdefault(segment, _Node())
        if segment.endswith("...}"):
            self.rest = self.rest or _Node()
            return self.rest
        self.named = self.named or _Node()
        return self.named


Found = tuple[Mapping[str, Route], tuple[str, ...]]
_REMEMBERED_PATHS = 4_096
_REMEMBERED_CHARACTERS = 256


class Tree:
    """Routes by path, found in one step a segment; paths that come again are remembered."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._remembered: dict[str, Found] = {}
        for route in routes:
            node = self._root
            for segment in route.template.split("/")[1:]:
                node = node.step(segment)
            if node.routes.setdefault(route.method, route) is not route:
                raise ValueError(f"two routes for {route.method} {route.template}")

    def find(self, path: str) -> Found:
        """Return the routes of a path by method, none for a path that is not ours, and the names' values."""
        found = self._remembered.get(path)
        if found is None:
            found = self._walk(path)
            if found[0] and len(path) <= _REMEMBERED_CHARACTERS:
                if len(self._remembered) >= _REMEMBERED_PATHS:
                    self._remembered.clear()
                self._remembered[path] = found
        return found

    def _walk(self, path: str) -> Found:
        node = self._root
        values = []
        segments = path.split("/")
        for at in range(1, len(segments)):
            segment = segments[at]
            step = node.words.get(segment)
            if step is None:
                if node.rest is not None:
                    values.append("/".join(segments[at:]))
                    return node.rest.routes, tuple(values)
                step = node.named
                if step is None or not segment:
                    return {}, ()
                values.append(segment)
            node = step
        return node.routes, tuple(values)
