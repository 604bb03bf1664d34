"""A WASI 0.2 in which nothing depends on the computer, for `primatomic:machine` components that import it.

No files, no environment, no arguments, input closed, output discarded, no sockets. Random numbers come from
a fixed seed and the place in the log, so that a restored instance sees what the original saw. All clocks show
the time of receipt of the event that is folded, or of the last one while a question is answered. Nothing can
wait: a guest that subscribes to a clock traps, because a wait in the host could not be bounded by fuel.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from wasmtime import Store, WasiConfig, WasmtimeError
from wasmtime.component import Linker, Record

_SEED: Final = b"indelible primatomic:machine random 1\n"
_RANDOM_BYTES_LIMIT: Final = 1 << 20
_MICROS_PER_SECOND: Final = 1_000_000
_VERSION = re.compile(r"(?P<interface>wasi:[a-z]+/[a-z0-9-]+)@0\.2\.[0-9]+")


class Moment(NamedTuple):
    """Where in its log a guest stands: the event's sequence and its time of receipt (µs since 1970)."""

    sequence: int
    micros: int


class Sandbox:
    """What the guest's imports answer: the moment and the stream of numbers of the current call."""

    def __init__(self) -> None:
        self._moment = Moment(0, 0)
        self._purpose = b""
        self._drawn = 0

    def enter(self, purpose: str, moment: Moment) -> None:
        """Begin a call: set its clock and restart its random numbers, which depend on nothing else."""
        self._moment = moment
        self._purpose = purpose.encode()
        self._drawn = 0

    def random(self, count: int) -> bytes:
        """Draw `count` bytes.

        Raises:
            WasmtimeError: more than a mebibyte at once, which ends the guest.
        """
        if count > _RANDOM_BYTES_LIMIT:
            raise WasmtimeError(f"at most {_RANDOM_BYTES_LIMIT} random bytes can be asked for at once")
        self._drawn += 1
        place = b"%s %d %d" % (self._purpose, self._moment.sequence, self._drawn)
        return hashlib.shake_256(_SEED + place).digest(count)

    def random_u64(self) -> int:
        """Draw 64 bits."""
        return int.from_bytes(self.random(8), "big")

    @property
    def micros(self) -> int:
        """The time that clocks show."""
        return self._moment.micros


def _datetime(micros: int) -> Record:
    record = Record()
    seconds, rest = divmod(micros, _MICROS_PER_SECOND)
    vars(record).update(seconds=seconds, nanoseconds=rest * 1_000)
    return record


def _no_waiting(*_: Any) -> None:
    raise WasmtimeError("a machine cannot wait: its clocks stand still during a call")


def _no_sockets(*_: Any) -> None:
    raise WasmtimeError("a machine has no network")


def _functions(sandbox: Sandbox) -> Mapping[str, Mapping[str, Callable[..., Any]]]:
    """Give our own functions for each interface that would not be deterministic."""
    micro = _datetime(1)
    return {
        "wasi:random/random": {
            "get-random-bytes": lambda _, count: sandbox.random(count),
            "get-random-u64": lambda _: sandbox.random_u64(),
        },
        "wasi:random/insecure": {
            "get-insecure-random-bytes": lambda _, count: sandbox.random(count),
            "get-insecure-random-u64": lambda _: sandbox.random_u64(),
        },
        "wasi:random/insecure-seed": {
            "insecure-seed": lambda _: (sandbox.random_u64(), sandbox.random_u64()),
        },
        "wasi:clocks/wall-clock": {
            "now": lambda _: _datetime(sandbox.micros),
            "resolution": lambda _: micro,
        },
        "wasi:clocks/monotonic-clock": {
            "now": lambda _: sandbox.micros * 1_000,
            "resolution": lambda _: 1_000,
            "subscribe-instant": _no_waiting,
            "subscribe-duration": _no_waiting,
        },
        "wasi:sockets/tcp-create-socket": {"create-tcp-socket": _no_sockets},
        "wasi:sockets/udp-create-socket": {"create-udp-socket": _no_sockets},
        # wasi:sockets/ip-name-lookup has a resource of its own and must stay; it is off in an empty WASI.
    }


def link(linker: Linker, store: Store, imports: tuple[str, ...], sandbox: Sandbox) -> None:
    """Define WASI in `linker` for a component with these `imports`, made deterministic.

    Ours are defined under the version that the component names: another would silently not be used.
    """
    if not imports:
        return
    store.set_wasi(WasiConfig())  # inherits nothing: empty in every respect
    linker.allow_shadowing = True
    linker.add_wasip2()
    ours = _functions(sandbox)
    with linker.root() as root:
        for name in imports:
            match = _VERSION.fullmatch(name)
            functions = ours.get(match["interface"]) if match else None
            if functions is None:
                continue
            with root.add_instance(name) as instance:
                for function, answer in functions.items():
                    instance.add_func(function, answer)
