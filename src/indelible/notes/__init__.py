"""Signed notes, checkpoints, cosignatures and proof files: pure functions of bytes."""
