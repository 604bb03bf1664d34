"""How a component can be refused or can fail. Each class says what its caller may conclude from it.

Only `GuestError` and `GuestTrap` are decided: the same events give the same failure again, so a view may
be failed for them. `Aborted` says nothing about the component: repeat the call, never store its outcome.
Texts that come from guests are capped and free of control characters before they get here.
"""


class FoldError(Exception):
    """The root of all failures of the host of views."""


class NotAView(FoldError, ValueError):
    """The bytes are no component that can be deployed; `reason` is a sentence for whoever built it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GuestError(FoldError):
    """The guest answered `init`, `append` or `restore` with an error. Decided; the instance is gone."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class GuestTrap(FoldError):
    """The guest trapped, broke the canonical ABI or ran out of fuel. Decided; the instance is gone.

    `kind` is one of `unreachable memory stack fuel arithmetic table abi exit limit other`.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class TooLargeToLift(GuestTrap):
    """A result was larger than the library copies out of a guest in one call (128 MiB of its own values)."""


class Aborted(FoldError):
    """Wall clock, memory of the host or an interruption ended the call. Repeat it; never store it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def reason_of(failure: GuestError | GuestTrap) -> str:
    """Say in one line why a view failed."""
    if isinstance(failure, GuestError):
        return f"the view refused the event: {failure.text}"
    return f"the view failed ({failure.kind}): {failure.text}"


class NoRoom(Aborted):
    """The disk that compiled code is kept on is full: nothing can be compiled until there is room."""


class CodeLost(Aborted):
    """The compiled code is missing or damaged in the cache: call `Compiler.compile` again, then repeat."""


class QueryRefused(FoldError):
    """The view refused a question: `kind` is `invalid` or `failed`. The instance stays good."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class AnswerTooLarge(FoldError):
    """The answer has `size` bytes (0: more than can be lifted), over `limit`. The instance is gone."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the answer has more than {limit} bytes")
        self.size = size
        self.limit = limit


class SnapshotUnsupported(FoldError):
    """The state cannot be taken out in parts: replay it instead. The instance stays good."""
