"""A signer command in fifteen lines, its keys in a folder: FOLDER, then VERB ORIGIN GENERATION."""

import hashlib
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

folder, verb, origin, generation = Path(sys.argv[1]), *sys.argv[2:]
file = folder / hashlib.sha256(f"{origin}\n{generation}".encode()).hexdigest()
if verb == "public-key" and not file.exists():
    file.write_bytes(Ed25519PrivateKey.generate().private_bytes_raw())
key = Ed25519PrivateKey.from_private_bytes(file.read_bytes())
text = sys.stdin.buffer.read()
if verb == "sign":
    with (folder / "signed").open("ab") as journal:
        journal.write(text + b"\0")
sys.stdout.buffer.write(key.sign(text) if verb == "sign" else key.public_key().public_bytes_raw())
