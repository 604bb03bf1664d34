"""Logs that are served as tiles, without a server of ours: of given entries, and huge sparse ones."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Protocol

from indelible.merkle.entry import Entry, encode_entry
from indelible.merkle.tiles import parse_tile_path
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed

ORIGIN = "audit.example.com/logs/550e8400-e29b-41d4-a716-446655440000"
SIGNER = Signer(ORIGIN, derive_seed(bytes(range(32)), ORIGIN))
START = 1_700_000_000_000_000


def sha(data: bytes) -> bytes:
    """SHA-256, straight from the standard library."""
    return hashlib.sha256(data).digest()


class Tree(Protocol):
    """Entries of any number, and the hashes of the perfect subtrees over them."""

    def entry(self, index: int) -> bytes:
        """The entry at an index, from 0."""
        ...

    def node(self, level: int, position: int) -> bytes:
        """The hash over the leaves [position · 2^level, (position + 1) · 2^level)."""
        ...


class ListTree:
    """A tree of entries that are there."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = list(entries)
        self.node = lru_cache(None)(self._node)

    def entry(self, index: int) -> bytes:
        """See `Tree`."""
        return self.entries[index]

    def _node(self, level: int, position: int) -> bytes:
        if level == 0:
            return sha(b"\0" + self.entries[position])
        return sha(b"\1" + self.node(level - 1, 2 * position) + self.node(level - 1, 2 * position + 1))


class SparseTree:
    """A tree of any size, all of whose entries are alike but for a few, so that no subtree costs its leaves.

    The few decide which path a hash belongs to: a proof that took a sibling for another would not hold.
    """

    def __init__(self, special: Mapping[int, bytes]) -> None:
        self.special = special
        self._same = [sha(b"\0" + b"same")]
        while len(self._same) < 64:
            self._same.append(sha(b"\1" + self._same[-1] * 2))
        self._touched = {(level, index >> level) for index in special for level in range(64)}
        self.node = lru_cache(None)(self._node)

    def entry(self, index: int) -> bytes:
        """See `Tree`."""
        return self.special.get(index, b"same")

    def _node(self, level: int, position: int) -> bytes:
        if (level, position) not in self._touched:
            return self._same[level]
        if level == 0:
            return sha(b"\0" + self.special[position])
        return sha(b"\1" + self.node(level - 1, 2 * position) + self.node(level - 1, 2 * position + 1))


def naive_root(tree: Tree, begin: int, end: int) -> bytes:
    """MTH(D[begin:end]) of RFC 6962 §2.1, recursion for recursion, until a subtree is perfect."""
    width = end - begin
    if width == 0:
        return sha(b"")
    if width & (width - 1) == 0 and begin % width == 0:
        return tree.node(width.bit_length() - 1, begin // width)
    split = 1
    while split * 2 < width:
        split *= 2
    return sha(b"\1" + naive_root(tree, begin, begin + split) + naive_root(tree, begin + split, end))


def checkpoint_of(tree: Tree, size: int, signer: Signer = SIGNER) -> bytes:
    """The signed head of the first `size` entries."""
    return sign_checkpoint(Checkpoint(signer.name, size, naive_root(tree, 0, size)), signer)


def entries_of(count: int, change: Callable[[int, Entry], Entry] = lambda _at, entry: entry) -> list[bytes]:
    """Entries of ours, a second after another; `change` may make one of them another."""
    made = [Entry(at + 1, START + at * 1_000_000, bytes(16), sha(b"payload %d" % at)) for at in range(count)]
    return [encode_entry(change(at, entry)) for at, entry in enumerate(made)]


class Shown(NamedTuple):
    """What a place shows of a tree: a checkpoint, and the tiles of the tree of `size`."""

    tree: Tree
    size: int
    note: bytes
    keys: tuple[str, ...] = (SIGNER.verifier.vkey,)


def shown(entries: Sequence[bytes], size: int | None = None, signer: Signer = SIGNER) -> Shown:
    """The first `size` of some entries, as an honest log shows them."""
    tree, count = ListTree(entries), len(entries) if size is None else size
    return Shown(tree, count, checkpoint_of(tree, count, signer), (signer.verifier.vkey,))


def page(what: Shown, path: str) -> bytes | None:
    """What stands at a path under the log's URL; None where nothing does."""
    if path == "checkpoint":
        return what.note
    if path == "keys":
        listed = ",".join(f'{{"verifier_key":"{key}"}}' for key in what.keys)
        return f'{{"keys":[{listed}]}}'.encode()
    try:
        tile = parse_tile_path(path)
    except ValueError:
        return None
    level = tile.level or 0
    first = tile.number * 256
    if (first + tile.width) << (8 * level) > what.size:
        return None
    places = range(first, first + tile.width)
    if tile.level is None:
        return b"".join(len(entry).to_bytes(2, "big") + entry for entry in map(what.tree.entry, places))
    return b"".join(what.tree.node(8 * level, place) for place in places)


Page = Callable[[str], bytes | None]


class Site(ThreadingHTTPServer):
    """Serves pages by path; each answer can be slow, long, or another's altogether."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.logs: dict[str, Shown] = {}
        self.pages: dict[str, Page] = {}
        self.redirects: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.dribble: set[str] = set()
        self.asked: list[str] = []

    def handle_error(self, *_arguments: object) -> None:
        """A client that went away is no news."""

    def find(self, path: str) -> bytes | None:
        """The page at a path."""
        if path in self.pages:
            return self.pages[path](path)
        for prefix, what in self.logs.items():
            if path.startswith(f"{prefix}/"):
                return page(what, path.removeprefix(f"{prefix}/"))
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Site

    def do_GET(self) -> None:
        site = self.server
        site.asked.append(self.path)
        if self.path in site.redirects:
            self._answer(302, b"", Location=site.redirects[self.path])
            return
        body = site.find(self.path)
        status = site.statuses.get(self.path, 200 if body is not None else 404)
        self._answer(status, body if body is not None else b"<html>nothing here</html>")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.path not in self.server.dribble:
            self.wfile.write(body)
            return
        for at in range(len(body)):  # one byte at a time, each well within a time-out
            try:
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Stay quiet."""


@contextmanager
def site() -> Iterator[Site]:
    """Serve until the block ends."""
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
