"""What every verifier of a proof refuses first."""

from collections.abc import Sequence

from indelible.merkle.hashing import HASH_BYTES


class ProofError(ValueError):
    """A proof that does not hold; the message says where it fails."""


def check_hashes(what: str, hashes: Sequence[bytes]) -> None:
    """Refuse any hash that is not 32 bytes.

    Raises:
        ProofError: naming `what` and the length found.
    """
    for found in hashes:
        if len(found) != HASH_BYTES:
            raise ProofError(f"A {what} has {HASH_BYTES} bytes, not {len(found)}.")
