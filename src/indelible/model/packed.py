"""Byte strings laid end to end: thousands of payloads as one run of bytes, without a Python object each."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Self, overload


class Packed(Sequence[bytes]):
    """A sequence of byte strings that stand one after the other. Immutable; a slice shares the bytes."""

    __slots__ = ("_at", "_joined", "sizes")

    def __init__(self, joined: bytes, sizes: "array[int]", at: int = 0) -> None:
        """The strings have these `sizes` (of 64 bits each), and the first begins at `at`."""
        self._joined = joined
        self._at = at
        self.sizes = sizes

    @classmethod
    def of(cls, items: Sequence[bytes]) -> Self:
        """Lay strings out."""
        return cls(b"".join(items), array("Q", map(len, items)))

    @property
    def joined(self) -> bytes:
        """All of them as one."""
        return self._joined[self._at : self._at + sum(self.sizes)]

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> "bytes | Self":
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("only runs can be cut out")
            return type(self)(self._joined, self.sizes[start:stop], self._at + sum(self.sizes[:start]))
        place = range(len(self))[index]
        return self[place : place + 1].joined

    def __iter__(self) -> Iterator[bytes]:
        return (self._joined[start:end] for start, end in pairwise(accumulate(self.sizes, initial=self._at)))
