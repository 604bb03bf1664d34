"""The manifests of an archive: a numbered chain, each written once, sealed with a key of the master secret.

Events are proved by signed heads; which workspaces, keys and views there are is proved by nothing. So a
manifest has the digests of what says that, and the seal covers the manifest: without the master secret nobody
makes an archive from which a store is rebuilt. What is written where: docs/formats.md, Archive.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from indelible.log.segment import Ref
from indelible.store.objects import Objects

FORMAT = "indelible-archive/1"
KEY_INFO = b"indelible/archive-key/v1"
DIGITS = 12


class ArchiveError(Exception):
    """An archive that is not as it was written, or not this deployment's; the text names the object."""


class ArchivedLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log as archived: `size` events, of which `checkpoint` (a signed note) is the head.

    `last` is the segment that ends there; each segment names the one before it. `segments` are those sealed
    since the manifest that named this log before.
    """

    log_id: str
    workspace_id: str
    origin: str
    size: int
    time_floor: int
    checkpoint: str
    last: Ref
    segments: tuple[Ref, ...] = ()


class ArchivedWorkspace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workspace's rows as archived, in `state`."""

    workspace_id: str
    state: Ref


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was archived since the manifest before it, or, where it is `whole`, all there is.

    `previous` is the SHA-256 (hex) of the manifest before it, `written` a time in RFC 3339.
    """

    deployment: str
    number: int
    previous: str | None
    written: str
    whole: bool
    workspaces: tuple[ArchivedWorkspace, ...]
    logs: tuple[ArchivedLog, ...]
    format: str = FORMAT


class Chain(NamedTuple):
    """What an archive holds: the newest manifest's number and digest, workspaces and logs by their ids."""

    deployment: str | None
    number: int
    digest: str | None
    written: str | None
    workspaces: dict[str, ArchivedWorkspace]
    logs: dict[str, ArchivedLog]


NOTHING = Chain(None, 0, None, None, {}, {})
"""The chain of an archive that has no manifest yet."""


def archive_key(master_secret: bytes) -> bytes:
    """The key that seals manifests."""
    return HKDF(SHA256(), 32, salt=None, info=KEY_INFO).derive(master_secret)


def manifest_key(number: int) -> str:
    """Where a manifest stands in the object store."""
    return f"manifest/{number:0{DIGITS}}"


def encode_manifest(manifest: Manifest, key: bytes) -> bytes:
    """A line of JSON, and a line with its seal: HMAC-SHA256 of the first line without its end, in hex."""
    line = msgspec.json.encode(manifest)
    return line + b"\n" + hmac.new(key, line, hashlib.sha256).hexdigest().encode() + b"\n"


def decode_manifest(data: bytes, number: int, key: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ArchiveError: it was changed, or belongs to another master secret or place.
    """
    name = manifest_key(number)
    line, _, seal = data.partition(b"\n")
    if not hmac.compare_digest(hmac.new(key, line, hashlib.sha256).hexdigest().encode() + b"\n", seal):
        raise ArchiveError(
            f"the seal of {name} does not fit: it was changed, or the master secret is another one's"
        )
    try:
        manifest = msgspec.json.decode(line, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"{name} is not one that this program reads: {error}") from None
    if (manifest.format, manifest.number) != (FORMAT, number):
        raise ArchiveError(f"{name} says that it is {manifest.format} number {manifest.number}")
    return manifest


def newest(objects: Objects) -> int:
    """The number of the newest manifest, 0 where there is none: a few reads, however long the chain is."""

    def exists(number: int) -> bool:
        return objects.start(manifest_key(number), 1) is not None

    high = 1
    while exists(high):
        high *= 2
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if exists(middle) else (low, middle)
    return low


def load_chain(objects: Objects, key: bytes, upto: int | None = None) -> Chain:
    """Read an archive's manifests, from the newest (or `upto`) back to one that is whole.

    Raises:
        ArchiveError: one of them is missing, was changed, or does not follow the one before it.
        OSError: the objects cannot be read.
    """
    number = newest(objects) if upto is None else upto
    if not number:
        return NOTHING
    found: list[Manifest] = []
    digest = expected = None
    while not found or not found[-1].whole:
        at = number - len(found)
        data = objects.get(manifest_key(at)) if at else None
        if data is None:
            raise ArchiveError(f"{manifest_key(at)} is missing in {objects.place}")
        actual = hashlib.sha256(data).hexdigest()
        if expected not in {None, actual}:
            raise ArchiveError(f"{manifest_key(at)} is not the one that the manifest after it names")
        digest = digest or actual
        found.append(decode_manifest(data, at, key))
        expected = found[-1].previous
    chain = NOTHING
    for manifest in reversed(found):
        if manifest.deployment != found[0].deployment:
            raise ArchiveError(f"{manifest_key(manifest.number)} is of {manifest.deployment}")
        chain = _with(chain, manifest)
    return chain._replace(digest=digest)


def followed(chain: Chain, manifest: Manifest, data: bytes) -> Chain:
    """The chain after one manifest more, whose bytes are `data`."""
    return _with(chain, manifest)._replace(digest=hashlib.sha256(data).hexdigest())


def _with(chain: Chain, manifest: Manifest) -> Chain:
    """Segments are left out of what is remembered: they name each other, so the last one is enough."""
    return Chain(
        manifest.deployment,
        manifest.number,
        None,
        manifest.written,
        {**chain.workspaces, **{each.workspace_id: each for each in manifest.workspaces}},
        {**chain.logs, **{each.log_id: msgspec.structs.replace(each, segments=()) for each in manifest.logs}},
    )


def next_manifest(
    chain: Chain,
    *,
    deployment: str,
    written: str,
    workspaces: Sequence[ArchivedWorkspace],
    logs: Sequence[ArchivedLog],
    whole_every: int,
) -> Manifest:
    """What follows a chain: these workspaces and logs, and all others too where it is to be whole."""
    number = chain.number + 1
    whole = (number - 1) % max(1, whole_every) == 0
    if whole:
        workspaces = [*{**chain.workspaces, **{each.workspace_id: each for each in workspaces}}.values()]
        logs = [*{**chain.logs, **{each.log_id: each for each in logs}}.values()]
    return Manifest(
        deployment=deployment,
        number=number,
        previous=chain.digest,
        written=written,
        whole=whole,
        workspaces=tuple(workspaces),
        logs=tuple(logs),
    )
