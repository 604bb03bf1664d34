"""The one configuration of the WebAssembly engine, the same in the server and in the child that compiles.

Whatever is not deterministic, not needed, or has no bound is off. Serialized code fits only the engine that
made it, so `FINGERPRINT` is part of every key in the code cache.
"""

import hashlib
import platform
from importlib.metadata import version

from wasmtime import Config, Engine
from wasmtime import _ffi as ffi

from indelible.model.limits import MIB, Limits

_OFF = (
    "wasm_threads",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_relaxed_simd",
    "wasm_gc",
    "wasm_function_references",
    "wasm_exceptions",
    "wasm_stack_switching",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "shared_memory",
    "gc_support",
)
_OFF_IN_C_ONLY = (
    "wasm_component_model_async",
    "wasm_component_model_async_stackful",
    "wasm_component_model_more_async_builtins",
    "concurrency_support",
)
_ON = ("consume_fuel", "epoch_interruption", "cranelift_nan_canonicalization")

MAX_STACK_BYTES = 4 * MIB
"""The most that guests may have of a thread's stack; Linux gives threads 8 MiB."""

MEMORY_RESERVATION_BYTES = 4 << 30
"""Address space, not memory, taken for each linear memory, so that it never moves."""


def _fingerprint() -> str:
    facts = [version("wasmtime"), platform.machine(), "speed", *_OFF, *_OFF_IN_C_ONLY, *_ON]
    return hashlib.sha256("\n".join([*facts, str(MEMORY_RESERVATION_BYTES)]).encode()).hexdigest()[:16]


FINGERPRINT = _fingerprint()
"""Names this engine: its version, the processor's family, and every setting that changes compiled code."""


def new_engine(limits: Limits) -> Engine:
    """Make an engine; in the child it compiles, in the server it runs what was compiled.

    Raises:
        ValueError: `view_stack_bytes` is more than a thread can give.
    """
    if not 0 < limits.view_stack_bytes <= MAX_STACK_BYTES:
        raise ValueError(f"view_stack_bytes must be at most {MAX_STACK_BYTES}: a thread's stack has 8 MiB")
    config = Config()
    for name in _OFF:
        setattr(config, name, False)
    for name in _OFF_IN_C_ONLY:
        # The Python class has no property for these; the C function takes the same kind of pointer.
        setter = getattr(ffi, f"wasmtime_config_{name}_set")
        setter(config.ptr(), False)  # noqa: FBT003 - a C function has no keywords
    for name in _ON:
        setattr(config, name, True)
    config.cranelift_opt_level = "speed"
    config.max_wasm_stack = limits.view_stack_bytes
    # Never used, but the engine ends the process when it is smaller than the other.
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), limits.view_stack_bytes + MIB)
    config.memory_reservation = MEMORY_RESERVATION_BYTES
    config.memory_may_move = False
    return Engine(config)
