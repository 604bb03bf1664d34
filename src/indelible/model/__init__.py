"""Frozen types, limits, errors and clock: the standard library only."""
