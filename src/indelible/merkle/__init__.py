"""The RFC 6962 tree, its proofs and its tiles: pure functions of bytes."""
