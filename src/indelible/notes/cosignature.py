r"""Cosignatures of witnesses on checkpoints (C2SP tlog-cosignature), Ed25519 version 1, type 0x04.

    signed:         cosignature/v1\ntime <t>\n<the note's text>
    signature line: key id[4] || u64 t || signature[64]

ML-DSA-44 cosignatures (type 0x06) have key ids of their own, so a note that has them opens here: they are
among its unknown signatures. A witness's key is never a log's.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from indelible.notes.keys import (
    ED25519,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    KeyText,
    Verifier,
    check_key_name,
    ed25519_key,
    format_vkey,
    key_id,
    parse_vkey,
    private_key,
    verify_ed25519,
)
from indelible.notes.note import NoteSignature
from indelible.notes.strict import U63_END, NoteError, decode_base64, encode_base64

COSIGNATURE_ED25519 = 0x04
TIME_BYTES = 8


def cosigned_message(time: int, text: str) -> bytes:
    """Return what a witness signs: its time (seconds since 1970) and a checkpoint's whole text."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosignature_time(signature: NoteSignature) -> int:
    """Return the time, seconds since 1970, that a type 0x04 cosignature carries. Verify it first.

    Raises:
        NoteError: when it is not 8 bytes of a time under 2^63 and 64 of a signature.
    """
    found = _split(signature.signature)
    if found is None:
        raise NoteError("A cosignature has a time of 8 bytes, under 2^63, and a signature of 64.")
    return found[0]


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """The public half of a witness's key."""

    name: str
    public_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise NoteError(f"An Ed25519 public key has {PUBLIC_KEY_BYTES} bytes.")

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Return the verifier that a verifier key of type 0x04 describes.

        Raises:
            NoteError: when it is malformed or of another type.
        """
        return cls(*ed25519_key(parse_vkey(vkey), COSIGNATURE_ED25519))

    @property
    def key_id(self) -> bytes:
        """The key's id, 4 bytes."""
        return key_id(self.name, COSIGNATURE_ED25519, self.public_key)

    @property
    def vkey(self) -> str:
        """The verifier key as text; `parse` reads it."""
        return format_vkey(KeyText(self.name, COSIGNATURE_ED25519, self.public_key))

    def verify(self, text: str, signature: bytes) -> bool:
        """Say whether `signature`, 72 bytes, is this witness's over a checkpoint's text."""
        found = _split(signature)
        return found is not None and verify_ed25519(
            self.public_key, cosigned_message(found[0], text), found[1]
        )

    def __str__(self) -> str:
        return self.vkey


class Cosigner:
    """A witness's key, from its Ed25519 seed. It never shows its secret.

    Raises:
        NoteError: when the seed does not have 32 bytes, or the name cannot be a key's.
    """

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        self._private: Final = private_key(seed)
        self.verifier: Final = CosignatureVerifier(name, self._private.public_key().public_bytes_raw())

    def cosign(self, text: str, time: int) -> NoteSignature:
        """Return the cosignature of a checkpoint's text at `time`, seconds since 1970.

        Raises:
            NoteError: when the time is not from 0 to 2^63 - 1.
        """
        if not 0 <= time < U63_END:
            raise NoteError("The time of a cosignature is from 0 to 2^63 - 1 seconds.")
        signature = self._private.sign(cosigned_message(time, text))
        return NoteSignature(
            self.verifier.name, self.verifier.key_id, time.to_bytes(TIME_BYTES, "big") + signature
        )

    def __repr__(self) -> str:
        return f"Cosigner({self.verifier.vkey})"


COSIGNER_KEY = "PRIVATE+KEY"


def format_cosigner_key(name: str, seed: bytes) -> str:
    """Return a witness's private key as a line: `PRIVATE+KEY+<name>+<key id>+<base64(type || seed)>`.

    Raises:
        NoteError: as `Cosigner`.
    """
    key_hex = Cosigner(name, seed).verifier.key_id.hex()
    return f"{COSIGNER_KEY}+{name}+{key_hex}+{encode_base64(bytes([COSIGNATURE_ED25519]) + seed)}"


def parse_cosigner_key(text: str) -> Cosigner:
    """Return the witness's key that `format_cosigner_key` wrote.

    Raises:
        NoteError: it is none; what it says is not quoted.
    """
    name, plus, rest = text.removeprefix(f"{COSIGNER_KEY}+").partition("+")
    key_hex, plus_too, encoded = rest.partition("+")
    if not text.startswith(f"{COSIGNER_KEY}+") or not plus or not plus_too:
        raise NoteError("That is no witness's private key.")
    material = decode_base64(encoded, "A witness's private key")
    if material[:1] != bytes([COSIGNATURE_ED25519]):
        raise NoteError("That private key is not one for Ed25519 cosignatures.")
    cosigner = Cosigner(name, material[1:])
    if cosigner.verifier.key_id.hex() != key_hex:
        raise NoteError("The key id of that private key is not the one of its name and key.")
    return cosigner


def parse_verifier(vkey: str) -> Verifier | CosignatureVerifier:
    """Return the verifier of any verifier key that this package can check: type 0x01 or 0x04.

    Raises:
        NoteError: when it is malformed or of another type.
    """
    key = parse_vkey(vkey)
    if key.kind == ED25519:
        return Verifier(key.name, key.public_key)
    if key.kind == COSIGNATURE_ED25519:
        return CosignatureVerifier(key.name, key.public_key)
    raise NoteError(f"Verifier keys of signature type {key.kind:#04x} cannot be checked here.")


def _split(blob: bytes) -> tuple[int, bytes] | None:
    time = int.from_bytes(blob[:TIME_BYTES], "big")
    if len(blob) != TIME_BYTES + SIGNATURE_BYTES or time >= U63_END:
        return None
    return time, blob[TIME_BYTES:]
