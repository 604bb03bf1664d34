"""Secrets of API keys: `ind_<32 hex of the key id>_<64 hex, random>_<8 hex, CRC-32 of all before>`.

The checksum finds a mistyped or cut secret before anything is looked up, and lets scanners of leaked
secrets recognise ours. Only the SHA-256 of a whole secret is ever stored.
"""

import hashlib
import hmac
import uuid
import zlib
from typing import NamedTuple

from indelible.model.clock import Randomness

PREFIX = "ind"
SECRET_BYTES = 32
_PARTS = 4
_HEX_ID = 32


class Secret(NamedTuple):
    """A secret that was just made: shown once, never stored."""

    key_id: uuid.UUID
    text: str

    @property
    def digest(self) -> bytes:
        """What is stored in place of the secret."""
        return digest(self.text)


def make(randomness: Randomness, key_id: uuid.UUID | None = None) -> Secret:
    """Make a key id (unless given) and a secret for it."""
    key_id = key_id or uuid.UUID(bytes=randomness(16), version=4)
    body = f"{PREFIX}_{key_id.hex}_{randomness(SECRET_BYTES).hex()}"
    return Secret(key_id, f"{body}_{zlib.crc32(body.encode()):08x}")


def key_id(secret: str) -> str | None:
    """The id (canonical UUID) that a well-formed secret carries, else None."""
    parts = secret.split("_")
    if len(parts) != _PARTS or parts[0] != PREFIX or len(parts[1]) != _HEX_ID or not secret.isascii():
        return None
    body = secret[: -len(parts[3]) - 1]
    if f"{zlib.crc32(body.encode()):08x}" != parts[3]:
        return None
    h = parts[1]
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def digest(secret: str) -> bytes:
    """SHA-256 of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def same(presented: bytes, stored: bytes) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(presented, stored)
