"""What an error of the engine means: a guest's own fault, which is decided, or the host's, which is not."""

from typing import Final

from indelible.fold.errors import Aborted, FoldError, GuestTrap
from indelible.fold.text import clean

_CAUSE = "wasm trap: "

_TRAPS: Final = (
    ("unreachable", "unreachable"),
    ("all fuel consumed", "fuel"),
    ("call stack exhausted", "stack"),
    ("out of bounds memory", "memory"),
    ("misaligned memory", "memory"),
    ("allocation too large", "memory"),
    ("out of bounds table", "table"),
    ("undefined element", "table"),
    ("uninitialized element", "table"),
    ("indirect call type mismatch", "table"),
    ("null reference", "table"),
    ("integer", "arithmetic"),
)
"""A part of the engine's sentence and the kind it stands for; the first that fits counts."""

_ABI: Final = (
    "utf-8",
    "utf8",
    "out of bounds",
    "not aligned",
    "unaligned",
    "beyond end of memory",
    "discriminant",
    "cannot enter component",
    "cannot leave component",
    "canonical",
    "char",
)
"""Parts of sentences about values that a guest handed over wrongly (canonical ABI, not instructions)."""

_LIMIT: Final = ("resource limit exceeded", "exceeds memory limit", "exceeds table limit", "forcing trap")
_HOST: Final = ("os error", "mmap", "mprotect", "cannot allocate")
_TOO_MANY: Final = "count too high"
_HOSTCALL_FUEL: Final = "hostcall"


def needs_more_parts(message: str) -> bool:
    """Say whether an instantiation failed because it has more memories, tables or instances than allowed."""
    return _TOO_MANY in message


def is_too_large_to_lift(message: str) -> bool:
    """Say whether a result was larger than the library lifts in one call."""
    return _HOSTCALL_FUEL in message


def cause(raw: bytes, limit_bytes: int) -> str:
    """Return the sentence of an engine's message that names the cause, without the guest's backtrace."""
    text = raw.decode("utf-8", "replace")
    at = text.rfind(_CAUSE)
    if at >= 0:
        return clean(text[at + len(_CAUSE) :], limit_bytes)
    at = text.rfind("Caused by:")
    return clean(text[at + len("Caused by:") :] if at >= 0 else text, limit_bytes)


def explain(message: str, *, exited: bool, is_trap: bool) -> FoldError:
    """Make a failure of ours from the engine's sentence."""
    lowered = message.lower()
    if exited:
        return GuestTrap("exit", "the guest called exit")
    if is_trap:
        return GuestTrap(next((kind for part, kind in _TRAPS if part in lowered), "other"), message)
    if any(part in lowered for part in _HOST):
        return Aborted(f"the host could not give what the guest needs: {message}")
    if any(part in lowered for part in _LIMIT) or needs_more_parts(lowered):
        return GuestTrap("limit", message)
    if any(part in lowered for part in _ABI):
        return GuestTrap("abi", message)
    return GuestTrap("other", message)
