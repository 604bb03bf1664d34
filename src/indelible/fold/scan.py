"""A look at a component's sections before any compiler sees it: sizes and counts, nothing is decoded further.

Source of the layout: the component model's Binary.md (preamble `00 61 73 6d 0d 00 01 00`, sections of one id
byte and a size in LEB128; id 1 is a core module, id 4 a nested component) and the core specification,
"Binary Format, Modules" (section 5 memories, section 10 code).
"""

from dataclasses import dataclass

from indelible.fold.errors import NotAView
from indelible.model.limits import MIB, Limits

_MAGIC = b"\0asm"
_COMPONENT = _MAGIC + b"\x0d\x00\x01\x00"
_CORE_MODULE = _MAGIC + b"\x01\x00\x00\x00"
_PREAMBLE = 8

_SECTION_CORE_MODULE = 1
_SECTION_COMPONENT = 4
_LAST_COMPONENT_SECTION = 12
_CORE_SECTION_MEMORY = 5
_CORE_SECTION_CODE = 10

_MEMORY_HAS_MAXIMUM, _MEMORY_SHARED, _MEMORY_64, _MEMORY_PAGE_SIZE = 1, 2, 4, 8
_LEB_LAST_SHIFT = 28


@dataclass(slots=True)
class Counts:
    """What a component holds, nested ones included."""

    sections: int = 0
    modules: int = 0
    functions: int = 0
    memories: int = 0


class _Reader:
    """Reads one component; `fail` sentences end with the place where it went wrong."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.counts = Counts()

    def leb(self, at: int, end: int) -> tuple[int, int]:
        """Read an unsigned LEB128 of at most 32 bits; return it and the place behind it."""
        value = shift = 0
        while at < end and shift <= _LEB_LAST_SHIFT:
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit of LEB128
                return value, at
            shift += 7
        raise NotAView(f"The component is damaged: there is no number at byte {at}.")

    def sized(self, at: int, end: int) -> tuple[int, int]:
        """Read a size and return where its content begins and ends."""
        size, start = self.leb(at, end)
        if size > end - start:
            raise NotAView(f"The component is cut short: {size} bytes are announced at byte {at}.")
        return start, start + size

    def section(self, at: int, end: int) -> tuple[int, int, int]:
        """Read a section's header; return its id and where its content begins and ends."""
        self.counts.sections += 1
        if self.counts.sections > self.limits.component_sections:
            raise NotAView(f"The component has more than {self.limits.component_sections} sections.")
        start, stop = self.sized(at + 1, end)
        return self.data[at], start, stop

    def component(self, at: int, end: int, depth: int) -> None:
        """Scan the sections of a component between `at` and `end`."""
        if depth > self.limits.component_depth:
            raise NotAView(f"Components are nested more than {self.limits.component_depth} deep.")
        at += _PREAMBLE
        while at < end:
            kind, start, stop = self.section(at, end)
            if kind > _LAST_COMPONENT_SECTION:
                raise NotAView(f"The component is damaged: no section has the id {kind} (byte {at}).")
            inner = self.data[start : start + _PREAMBLE]
            if kind == _SECTION_CORE_MODULE and inner == _CORE_MODULE:
                self.module(start, stop)
            elif kind == _SECTION_COMPONENT and inner == _COMPONENT:
                self.component(start, stop, depth + 1)
            elif kind in (_SECTION_CORE_MODULE, _SECTION_COMPONENT):
                raise NotAView(
                    f"The component is damaged: what is nested at byte {start} has no known start."
                )
            at = stop

    def module(self, at: int, end: int) -> None:
        """Scan the sections of a core module."""
        self.counts.modules += 1
        if self.counts.modules > self.limits.component_modules:
            raise NotAView(f"The component has more than {self.limits.component_modules} core modules.")
        at += _PREAMBLE
        while at < end:
            kind, start, stop = self.section(at, end)
            if kind == _CORE_SECTION_CODE:
                self.code(start, stop)
            elif kind == _CORE_SECTION_MEMORY:
                self.memories(start, stop)
            at = stop

    def code(self, at: int, end: int) -> None:
        """Count the function bodies of a code section and measure each."""
        count, at = self.leb(at, end)
        self.counts.functions += count
        limit = self.limits.component_functions
        if self.counts.functions > limit:
            raise NotAView(f"The component has more than {limit} functions.")
        largest = self.limits.component_function_bytes
        for _ in range(count):
            start, at = self.sized(at, end)
            if at - start > largest:
                raise NotAView(
                    f"A function at byte {start} has {at - start} bytes; at most {largest} are taken. "
                    "Split it, or build with less inlining."
                )

    def memories(self, at: int, end: int) -> None:
        """Refuse the kinds of memory that views have no use for."""
        count, at = self.leb(at, end)
        if count > 1:
            raise NotAView("A core module has several memories; views have one.")
        if count == 0:
            return
        self.counts.memories += 1
        if at >= end:
            raise NotAView(f"The component is cut short at byte {at}.")
        flags = self.data[at]
        if flags & _MEMORY_SHARED:
            raise NotAView("The component has a shared memory: build it without threads.")
        if flags & _MEMORY_64:
            raise NotAView("The component has a 64-bit memory: build it for wasm32.")
        if flags & ~_MEMORY_HAS_MAXIMUM:
            raise NotAView("The component has a memory of a kind that is not taken (custom page size).")


def scan(component: bytes, limits: Limits) -> Counts:
    """Check that `component` is a WebAssembly component within the limits; return what it holds.

    Takes a time that grows with the number of sections and functions, both limited, not with nesting.

    Raises:
        NotAView: with a sentence that says what to change.
    """
    if len(component) > limits.component_bytes:
        raise NotAView(
            f"The component has {len(component) / MIB:.1f} MiB; "
            f"at most {limits.component_bytes // MIB} MiB are taken."
        )
    head = component[:_PREAMBLE]
    if head == _CORE_MODULE:
        raise NotAView(
            "This is a core WebAssembly module, not a component: run `wasm-tools component embed` and "
            "`wasm-tools component new` on it."
        )
    if head != _COMPONENT:
        raise NotAView(
            "This is not a WebAssembly component: it does not begin with \\0asm and a component's version."
        )
    reader = _Reader(component, limits)
    reader.component(0, len(component), 1)
    if not reader.counts.modules:
        raise NotAView("The component holds no code.")
    return reader.counts
