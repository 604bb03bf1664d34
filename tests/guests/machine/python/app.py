"""The machine "sum" in Python, built without WASI imports. `../README.md` says what every machine answers."""
# ruff: noqa: D102 - the contract in wit/ documents these methods

import json
import struct

from wit_world import exports  # type: ignore[import-not-found]  # made by the build

FNV_START = 14695981039346656037
FNV_PRIME = 1099511628211
BIG = 80 << 20
WORD = (1 << 64) - 1


class State:
    """What was folded: counts of events and bytes, and a hash of all bytes in their order (FNV-1a)."""

    events = 0
    bytes = 0
    hash = FNV_START


# At the module, not in `Machine`: componentize-py makes an instance of its class for each exported function.
state = State()


class Machine(exports.Machine):  # type: ignore[misc]  # the base is made by the build
    """The exported interface."""

    def init(self) -> None:
        state.events, state.bytes, state.hash = 0, 0, FNV_START

    def append(self, event: bytes) -> None:
        if event == b"trap":
            raise RuntimeError("told to trap")
        while event == b"loop":
            pass
        total = state.hash
        for byte in event:
            total = (total ^ byte) * FNV_PRIME & WORD
        state.hash = total
        state.events += 1
        state.bytes += len(event)

    def query(self, asked: bytes) -> bytes:
        if asked == b"trap":
            raise RuntimeError("told to trap")
        while asked == b"loop":
            pass
        if asked == b"big":
            return bytes(BIG)
        if asked == b"raw":
            return bytes(range(256))
        report = {
            "bytes": state.bytes,
            "events": state.events,
            "hash": f"{state.hash:016x}",
            "input": asked.hex(),
        }
        return json.dumps(report, separators=(",", ":")).encode()

    def snapshot(self) -> bytes:
        return struct.pack("<QQQ", state.events, state.bytes, state.hash)

    def restore(self, snapshot: bytes) -> None:
        state.events, state.bytes, state.hash = struct.unpack("<QQQ", snapshot)
