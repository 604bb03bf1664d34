"""What an error of the engine means: a guest's own fault, which is decided, or the host's, which is not."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from indelible.fold.errors import Aborted, FoldError, GuestTrap, TooLargeToLift
from indelible.fold.text import clean

_TRAP: Final = "wasm trap: "
_BACKTRACE: Final = "error while executing at wasm backtrace"
_CAUSED_BY: Final = "Caused by:"

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

_LIMITS: Final = ("resource limit exceeded", "exceeds memory limit", "exceeds table limit", "forcing trap")
_ABI: Final = (
    "utf-8",
    "utf8",
    "out of bounds",
    "not aligned",
    "unaligned",
    "beyond end of memory",
    "discriminant",
    "char",
)
"""Parts of sentences about values that a guest handed over wrongly (canonical ABI, not instructions)."""

_OTHERS: Final = (*((part, "limit") for part in _LIMITS), *((part, "abi") for part in _ABI))
_HOST: Final = ("os error", "mmap", "mprotect", "cannot allocate")
_TOO_MANY: Final = "count too high"
_HOSTCALL_FUEL: Final = "allocated for hostcalls"  # the library's own bound on what one call copies out


class Cause(NamedTuple):
    """The sentence of an engine's message that names the cause, and whether it is a trap's."""

    message: str
    is_trap: bool


def read_cause(raw: bytes, limit_bytes: int) -> Cause:
    """Find the cause in an engine's message; the backtrace before it has names that the guest chose."""
    text = raw.decode("utf-8", "replace")
    if text.startswith(_BACKTRACE):
        text = text.rpartition(_CAUSED_BY)[2]
    before, mark, after = text.rpartition(_TRAP)
    return Cause(clean(after if mark else before + after, limit_bytes), bool(mark))


def needs_more_parts(cause: Cause) -> bool:
    """Say whether an instantiation failed because it has more memories, tables or instances than allowed."""
    return not cause.is_trap and _TOO_MANY in cause.message


def _kind(table: Iterable[tuple[str, str]], lowered: str) -> str:
    return next((kind for part, kind in table if part in lowered), "other")


def explain(cause: Cause) -> FoldError:
    """Make a failure of ours from the engine's sentence."""
    lowered = cause.message.lower()
    if _HOSTCALL_FUEL in lowered:
        return TooLargeToLift("limit", cause.message)
    if cause.is_trap:
        return GuestTrap(_kind(_TRAPS, lowered), cause.message)
    if any(part in lowered for part in _HOST):
        return Aborted(f"the host could not give what the guest needs: {cause.message}")
    return GuestTrap(_kind(_OTHERS, lowered), cause.message)
