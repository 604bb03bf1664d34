"""The JSON of the calls about versions of a view; part of `wire`."""

from msgspec import Raw, Struct


class VersionOut(Struct, frozen=True):
    """A version of a view; `author` is the UUID that whoever deployed it has as a writer."""

    version: int
    sha256: str
    config_sha256: str
    config: Raw
    world: str
    builtin: str | None
    state: str
    created: str
    author: str


class VersionsOut(Struct, frozen=True):
    """Versions of a view, the newest first; `next` is the value of `before` for those that follow."""

    versions: list[VersionOut]
    next: int | None


class RollbackIn(Struct, forbid_unknown_fields=True, frozen=True):
    """The version that is to answer; left out, the newest below the one that does."""

    version: int | None = None
