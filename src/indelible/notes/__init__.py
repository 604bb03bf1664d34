"""Signed notes and what is written in them: checkpoints, cosignatures, proofs as text. Pure functions."""
