"""One event that is proved, for tests of those who check: entry, leaf and tree, written by hand."""

import hashlib
from uuid import UUID

from indelible.client import Receipt
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed

PAYLOAD = b'{"type":"x"}'
SALT = bytes(range(16))
WRITER = UUID("550e8400-e29b-41d4-a716-446655440000")
ORIGIN = "audit.example.com/logs/c1e35e68-bc1d-4e62-aac9-1ed1e9a5e25d"
SIGNER = Signer(ORIGIN, derive_seed(bytes(32), ORIGIN))
KEY = SIGNER.verifier.vkey

# Written out from formats.md, not with the code that is tested: two entries, two leaves, one root.
ENTRY = (
    b"\x01"
    + (1).to_bytes(8, "big")
    + (1_700_000_000_000_001).to_bytes(8, "big")
    + WRITER.bytes
    + hashlib.sha256(SALT + PAYLOAD).digest()
)
LEAF = hashlib.sha256(b"\x00" + ENTRY).digest()
OTHER = hashlib.sha256(b"\x00" + b"other").digest()
ROOT = hashlib.sha256(b"\x01" + LEAF + OTHER).digest()
CHECKPOINT = Checkpoint(ORIGIN, 2, ROOT)
NOTE = sign_checkpoint(CHECKPOINT, SIGNER).decode()
RECEIPT = Receipt(
    sequence=1,
    time="2023-11-14T22:13:20.000001Z",
    leaf_hash=LEAF.hex(),
    salt=SALT.hex(),
    writer=str(WRITER),
    origin=ORIGIN,
)
