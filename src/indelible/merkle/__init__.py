"""The RFC 6962 Merkle tree, its proofs and its tiles: pure functions of bytes."""
