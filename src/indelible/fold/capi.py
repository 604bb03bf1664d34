"""The few C functions of wasmtime that calls go through, with addresses as plain integers.

The Python package builds an object for every value of a call, which costs about 14 µs an event. Here values
are laid out as machine words in arrays (see `values`) and only their addresses cross the border. The layouts
are those of wasmtime's `component/val.h`; they are compared with the package's own at import, so that an
engine that lays values out differently is refused instead of misread.

Function objects are taken by index from the library: by attribute they would be shared with the package and
must then keep its argument types. Every function here releases the interpreter lock while it runs.
"""

import ctypes
from array import array
from typing import Any, Final

from wasmtime import _ffi as ffi

WORD: Final = 8
WORDS_PER_VALUE: Final = 4
WORDS_PER_ENTRY: Final = 6

U8: Final = 2
U32: Final = 6
U64: Final = 8
BOOL: Final = 0
STRING: Final = 12
LIST: Final = 13
RECORD: Final = 14
TUPLE: Final = 15
VARIANT: Final = 16
ENUM: Final = 17
OPTION: Final = 18
RESULT: Final = 19


def _offsets(of: type) -> tuple[int, ...]:
    fields: Any = of
    return tuple(getattr(fields, name).offset for name, *_ in fields._fields_)


def _check_layout() -> None:
    value = ffi.wasmtime_component_val_t
    entry = ffi.wasmtime_component_valrecord_entry_t
    facts = {
        "size of a value": (ctypes.sizeof(value), WORD * WORDS_PER_VALUE),
        "size of a record's entry": (ctypes.sizeof(entry), WORD * WORDS_PER_ENTRY),
        "value": (_offsets(value), (0, 8)),
        "entry": (_offsets(entry), (0, 16)),
        "string": (_offsets(ffi.wasm_byte_vec_t), (0, 8)),
        "list": (_offsets(ffi.wasmtime_component_vallist_t), (0, 8)),
        "record": (_offsets(ffi.wasmtime_component_valrecord_t), (0, 8)),
        "tuple": (_offsets(ffi.wasmtime_component_valtuple_t), (0, 8)),
        "variant": (_offsets(ffi.wasmtime_component_valvariant_t), (0, 16)),
        "result": (_offsets(ffi.wasmtime_component_valresult_t), (0, 8)),
        "word": (array("Q").itemsize, WORD),
        "kinds": (
            tuple(
                getattr(ffi, f"WASMTIME_COMPONENT_{name}").value
                for name in ("BOOL", "U8", "U32", "U64", "STRING", "LIST", "RECORD", "TUPLE", "VARIANT")
            ),
            (BOOL, U8, U32, U64, STRING, LIST, RECORD, TUPLE, VARIANT),
        ),
        "more kinds": (
            tuple(getattr(ffi, f"WASMTIME_COMPONENT_{name}").value for name in ("ENUM", "OPTION", "RESULT")),
            (ENUM, OPTION, RESULT),
        ),
    }
    wrong = [name for name, (found, wanted) in facts.items() if found != wanted]
    if wrong:
        raise ImportError(f"this version of wasmtime lays out values differently: {', '.join(wrong)}")


_check_layout()


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = ffi.dll[name]
    function.restype = result
    function.argtypes = arguments
    return function


_address = ctypes.c_void_p
_size = ctypes.c_size_t

func_call = _function(
    "wasmtime_component_func_call", _address, _address, _address, _address, _size, _address, _size
)
"""(function, context, arguments, count, results, count) → error or None. Arguments are only read."""

val_delete = _function("wasmtime_component_val_delete", None, _address)
"""Frees what a value that the library filled in owns; the value's own words stay ours."""

instantiate = _function(
    "wasmtime_component_linker_instantiate", _address, _address, _address, _address, _address
)
"""(linker, context, component, instance out) → error or None."""

increment_epoch = _function("wasmtime_engine_increment_epoch", None, _address)
error_new = _function("wasmtime_error_new", _address, ctypes.c_char_p)
_error_message = _function("wasmtime_error_message", None, _address, _address)
_error_exit_status = _function("wasmtime_error_exit_status", ctypes.c_bool, _address, _address)
_error_delete = _function("wasmtime_error_delete", None, _address)
_byte_vec_delete = _function("wasm_byte_vec_delete", None, _address)

DEADLINE_CALLBACK = ctypes.CFUNCTYPE(
    _size, _address, _address, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint8)
)
"""(context, data, ticks until the next call out, kind out) → error or 0."""

FINALIZER = ctypes.CFUNCTYPE(None, _address)
no_finalizer = FINALIZER(0)

epoch_deadline_callback = _function(
    "wasmtime_store_epoch_deadline_callback", None, _address, DEADLINE_CALLBACK, _address, FINALIZER
)


def address_of(pointer: Any) -> int:
    """Return the address that a ctypes pointer holds."""
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


def bytes_address(data: bytes) -> int:
    """Return where the content of `data` lies; valid as long as the caller holds `data`. Never 0."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def copy(address: int, size: int) -> bytes:
    """Copy `size` bytes from `address`; a size of 0 reads nothing."""
    return ctypes.string_at(address, size) if size else b""


_HEAD_BYTES: Final = 100


def take_error(error: int, limit_bytes: int) -> tuple[bytes, bool]:
    """Free `error`; return its message and whether the guest exited.

    Of a message over `limit_bytes` the start, which says what it is, and the end, where the cause stands, are
    given: names that a guest chose make it as long as the guest likes.
    """
    exit_code = ctypes.c_int(0)
    exited = bool(_error_exit_status(error, ctypes.addressof(exit_code)))
    words = array("Q", [0, 0])
    _error_message(error, words.buffer_info()[0])
    try:
        size, start = words
        if size <= limit_bytes:
            return copy(start, size), exited
        tail = limit_bytes - _HEAD_BYTES
        return copy(start, _HEAD_BYTES) + copy(start + size - tail, tail), exited
    finally:
        _byte_vec_delete(words.buffer_info()[0])
        _error_delete(error)
