"""Keys of notes: names, key ids, verifier keys as text, and signing with Ed25519 (C2SP signed-note).

One key a log: its seed follows from the deployment's master secret and the log's origin (formats.md,
Origin and keys), so a backup of the one secret is a backup of every key.
"""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from indelible.notes.strict import NoteError, check_text, decode_base64, encode_base64

ED25519 = 0x01
"""The signature type of a log's own key."""

KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64
MASTER_BYTES_MIN = 32

_LOG_KEY_INFO = b"indelible/log-key/v1\x00"
_LATER_KEY_INFO = b"indelible/log-key/v2\x00"
_HEX_KEY_ID = re.compile(r"[0-9a-f]{8}\Z")


class NoteSigner(Protocol):
    """Signs the text of a note."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the key's name

    @property
    def key_id(self) -> bytes: ...  # noqa: D102 - 4 bytes

    def sign(self, text: str) -> bytes:
        """Return what stands after the key id in a signature line."""
        ...


class NoteVerifier(Protocol):
    """Knows a key and checks what it signed."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the key's name

    @property
    def key_id(self) -> bytes: ...  # noqa: D102 - 4 bytes

    def verify(self, text: str, signature: bytes) -> bool:
        """Say whether `signature`, as it stands after the key id, is this key's over `text`."""
        ...


class KeyText(NamedTuple):
    """A verifier key taken apart: the key's name, its signature type, and the public key's bytes."""

    name: str
    kind: int
    public_key: bytes


def check_key_name(name: str) -> str:
    """Return `name` when a key may have it: not empty, no spaces, no `+`, no control characters.

    Raises:
        NoteError: otherwise.
    """
    if not name or "+" in name or any(character.isspace() for character in name):
        raise NoteError("A key's name is not empty and has no spaces and no `+`.")
    return check_text(name, "A key's name")


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || kind || public key)[:4], C2SP's recommended key id."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:KEY_ID_BYTES]


def format_vkey(key: KeyText) -> str:
    """Return the verifier key: `<name>+<8 hex of key id>+<base64(type || public key)>`."""
    hex_id = key_id(*key).hex()
    return f"{key.name}+{hex_id}+{encode_base64(bytes([key.kind]) + key.public_key)}"


def parse_vkey(text: str) -> KeyText:
    """Take a verifier key apart, whatever its signature type.

    Raises:
        NoteError: when it is malformed, or its key id is not that of its name and key.
    """
    parts = text.split("+", 2)  # base64 may hold a `+` of its own
    if len(parts) != len(("name", "id", "key")):
        raise NoteError("A verifier key has the form <name>+<key id>+<key>.")
    name, hex_id, encoded = parts
    check_key_name(name)
    material = decode_base64(encoded, "The key of a verifier key")
    if not _HEX_KEY_ID.match(hex_id) or len(material) < 2:  # noqa: PLR2004 - a type and at least a byte
        raise NoteError("A verifier key has 8 lower-case hexadecimal digits, then a type and a public key.")
    key = KeyText(name, material[0], material[1:])
    if key_id(*key).hex() != hex_id:
        raise NoteError("The key id of that verifier key is not the one of its name and key.")
    return key


def derive_seed(master: bytes, origin: str, generation: int = 0) -> bytes:
    """Return the Ed25519 seed, 32 bytes, of the log with this origin.

    HKDF-SHA256 (RFC 5869) without salt. info = `indelible/log-key/v1` || 0x00 || origin for generation 0,
    `indelible/log-key/v2` || 0x00 || origin || 0x00 || u32 generation for those after it. An origin has no
    0x00 in it, so no two keys share an info.

    Args:
        master: the deployment's master secret, 32 bytes or more.
        origin: the log's origin, which is the key's name.
        generation: how often the log's key was rotated before, under 2^32.

    Raises:
        NoteError: when the secret is too short or the origin cannot be a key's name.
    """
    if len(master) < MASTER_BYTES_MIN:
        raise NoteError(f"A master secret has at least {MASTER_BYTES_MIN} bytes.")
    name = check_key_name(origin).encode()
    info = _LOG_KEY_INFO + name
    if generation:
        info = _LATER_KEY_INFO + name + b"\x00" + generation.to_bytes(4, "big")
    return HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=None, info=info).derive(master)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is 64 bytes by this key over `message` (RFC 8032)."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: the 32 bytes are no point of the curve
        return False
    return True


@dataclass(frozen=True, slots=True)
class Verifier:
    """The public half of a key that signs notes (signature type 0x01)."""

    name: str
    public_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise NoteError(f"An Ed25519 public key has {PUBLIC_KEY_BYTES} bytes.")

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Return the verifier that a verifier key describes.

        Raises:
            NoteError: when it is malformed or not for plain Ed25519.
        """
        return cls(*ed25519_key(parse_vkey(vkey), ED25519))

    @property
    def key_id(self) -> bytes:
        """The key's id, 4 bytes."""
        return key_id(self.name, ED25519, self.public_key)

    @property
    def vkey(self) -> str:
        """The verifier key as text; `parse` reads it."""
        return format_vkey(KeyText(self.name, ED25519, self.public_key))

    def verify(self, text: str, signature: bytes) -> bool:
        """Say whether `signature`, 64 bytes, is this key's over the note's text."""
        return verify_ed25519(self.public_key, text.encode(), signature)

    def __str__(self) -> str:
        return self.vkey


def ed25519_key(key: KeyText, kind: int) -> tuple[str, bytes]:
    """Return name and public key of a verifier key that must have this signature type.

    Raises:
        NoteError: when the type is another.
    """
    if key.kind != kind:
        raise NoteError(f"That verifier key has signature type {key.kind:#04x}, not {kind:#04x}.")
    return key.name, key.public_key


class Signer:
    """A key that signs notes (signature type 0x01), from its Ed25519 seed. It never shows its secret.

    Raises:
        NoteError: when the seed does not have 32 bytes, or the name cannot be a key's.
    """

    __slots__ = ("_private", "key_id", "name", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        self._private: Final = private_key(seed)
        self.verifier: Final = Verifier(name, self._private.public_key().public_bytes_raw())
        self.name: Final = name
        self.key_id: Final = self.verifier.key_id

    def sign(self, text: str) -> bytes:
        """Return the signature, 64 bytes, over the note's text."""
        return self._private.sign(text.encode())

    def __repr__(self) -> str:
        return f"Signer({self.verifier.vkey})"


def private_key(seed: bytes) -> Ed25519PrivateKey:
    """Return the Ed25519 key of a seed of 32 bytes.

    Raises:
        NoteError: when the length is another; the seed is not quoted.
    """
    if len(seed) != SEED_BYTES:
        raise NoteError(f"An Ed25519 seed has {SEED_BYTES} bytes.")
    return Ed25519PrivateKey.from_private_bytes(seed)
