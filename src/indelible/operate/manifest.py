"""A backup's manifest: what belongs to the backup, sealed with the master secret (docs/formats.md, Backup).

Events are recomputed at a restore and heads are signed, but keys, workspaces and deployments of views are
rows that no tree covers. The seal covers them: without the master secret nobody makes a backup that restores.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from indelible.store.base import StoreRefused

NAME = "backup.json"
FORMAT = "indelible-backup/1"
DATABASE = "indelible.db"
MASTER_SECRET = "master-secret"  # noqa: S105 - a file's name
ROOT_KEY = "root-key"
OBJECTS = "objects"
FOLDERS = ("proofs", "components", "events")
KEY_INFO = b"indelible/backup-key/v1"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `files` has the SHA-256 (hex) of each file by its path in the backup."""

    deployment: str
    software: str
    taken: str
    secrets: bool
    files: Mapping[str, str]

    def members(self) -> dict[str, object]:
        """As it is written, but for the seal."""
        return {
            "format": FORMAT,
            "software": self.software,
            "deployment": self.deployment,
            "taken": self.taken,
            "secrets": self.secrets,
            "files": dict(self.files),
        }


def seal_of(manifest: Manifest, master_secret: bytes) -> str:
    """HMAC-SHA256 (hex) over the members as JSON, names sorted, no spaces, with a key of its own."""
    key = HKDF(SHA256(), 32, salt=None, info=KEY_INFO).derive(master_secret)
    text = json.dumps(manifest.members(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def encode(manifest: Manifest, master_secret: bytes) -> bytes:
    """The manifest as a file."""
    return json.dumps({**manifest.members(), "seal": seal_of(manifest, master_secret)}, indent=2).encode()


def read_manifest(backup: Path) -> tuple[Manifest, str]:
    """Read a backup's manifest and its seal, which is to be compared with `check_seal`.

    Raises:
        StoreRefused: there is none, or it is not one that this program writes.
    """
    try:
        members = json.loads((backup / NAME).read_bytes())
        return _parse(members), str(members["seal"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreRefused(f"{backup} is not a backup made by indelible backup: {error}") from None


def check_seal(manifest: Manifest, seal: str, master_secret: bytes) -> None:
    """Compare the seal.

    Raises:
        StoreRefused: the manifest was changed, or the master secret is another.
    """
    if not hmac.compare_digest(seal_of(manifest, master_secret).encode(), seal.encode()):
        raise StoreRefused(
            f"the seal of {NAME} does not fit: the backup was changed, or the master secret is another one's"
        )


def _parse(members: Mapping[str, object]) -> Manifest:
    if members["format"] != FORMAT:
        raise ValueError(f"its format is {members['format']!r}, this program knows {FORMAT!r}")
    files = members["files"]
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise ValueError("its files are not names with digests")
    strange = [name for name in files if not _is_ours(name)]
    if strange:
        raise ValueError(f"it names a file that no backup has: {strange[0]!r}")
    if DATABASE not in files:
        raise ValueError(f"it names no {DATABASE}")
    return Manifest(
        deployment=str(members["deployment"]),
        software=str(members["software"]),
        taken=str(members["taken"]),
        secrets=members["secrets"] is True,
        files=files,
    )


def _is_ours(name: str) -> bool:
    """Whether a path is one that backups have; none of them leads anywhere else."""
    if name in {DATABASE, MASTER_SECRET, ROOT_KEY}:
        return True
    parts = name.split("/")
    plain = "\0" not in name and all(part and not part.startswith(".") for part in parts)
    return plain and any(name.startswith(f"{OBJECTS}/{folder}/") for folder in FOLDERS)
