"""A deployment whose keys are rotated over the use cases, and what an outsider then reads of it."""

from pathlib import Path
from typing import Any

from tests.harness.services import Bench

from indelible.log.keyring import statement_key
from indelible.log.publish import checkpoint_key
from indelible.model.types import LogInfo
from indelible.notes.keys import Verifier
from indelible.notes.note import parse_note


async def log_of(bench: Bench, name: str) -> LogInfo:
    """A new log of the default workspace."""
    return (await bench.services.logs.create(bench.root, name)).info


async def put(bench: Bench, info: LogInfo, events: int) -> None:
    """Append so many events."""
    for number in range(events):
        await bench.services.appends.append(bench.root, str(info.log_id), b'{"n":%d}' % number)


async def published(bench: Bench, info: LogInfo) -> bytes:
    """The checkpoint of the present head, made now."""
    size = bench.core.heads.get(info.key).size
    return (await bench.core.publisher.at_least(info, size)).note


async def rotate(bench: Bench, info: LogInfo) -> dict[str, Any]:
    """Rotate the log's key."""
    return await bench.services.rotation.rotate(bench.root, str(info.log_id))


async def keys_of(bench: Bench, info: LogInfo) -> list[dict[str, Any]]:
    """What `keys` answers."""
    return await bench.services.proofs.keys(bench.root, str(info.log_id))


def signers_of(note: bytes) -> list[bytes]:
    """The ids of the keys whose lines stand on a note."""
    return [item.key_id for item in parse_note(note).signatures]


def key_id(told: dict[str, Any]) -> bytes:
    """The id of a key that `keys` told of."""
    return Verifier.parse(told["verifier_key"]).key_id


def stored(path: Path, info: LogInfo) -> tuple[bytes | None, list[bytes]]:
    """What stands in the object store: the checkpoint, and the statements in their order."""
    objects = path / "objects"
    checkpoint = objects / checkpoint_key(info)
    statements: list[bytes] = []
    while (objects / statement_key(info, len(statements) + 1)).exists():
        statements.append((objects / statement_key(info, len(statements) + 1)).read_bytes())
    return checkpoint.read_bytes() if checkpoint.exists() else None, statements


def rotated(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rotations that `_audit` has."""
    return [event for event in events if event["type"] == "signing_key.rotated"]
