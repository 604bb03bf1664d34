"""The frozen values that pass in and out of the host of views. Times are microseconds since 1970."""

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

Pairs = Sequence[tuple[str, str]]
"""Names and values in their order, repeats included."""


class World(enum.Enum):
    """The contracts that a component can export (`wit/view.wit`, `wit/machine.wit`)."""

    VIEW = "indelible:view"
    MACHINE = "primatomic:machine"


class Batch(NamedTuple):
    """A run of consecutive events, column by column.

    `payloads` are the exact bytes of the events and may be anything; the host decides how they are handed
    over. `writer_of` has one place in `writers` for each event, or is empty when there is only one writer.
    """

    first_sequence: int
    times: Sequence[int]
    payloads: Sequence[bytes]
    writers: Sequence[str]
    writer_of: Sequence[int] = ()


class Question(NamedTuple):
    """What a view is asked: the parameters it sees, the request's body, and what the host knows."""

    params: Pairs
    body: str | bytes
    facts: Pairs


class Answer(NamedTuple):
    """What a view answered, as bytes that can go out as they are."""

    content_type: str
    body: bytes


class Compiled(NamedTuple):
    """A component made ready for this machine: `path` is its serialized code in the local cache."""

    sha256: str
    world: World
    path: Path
