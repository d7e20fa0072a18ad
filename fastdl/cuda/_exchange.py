"""Arrays handed to other libraries and taken from them, without a copy: two protocols.

DLPack: a capsule holds a structure of dlpack.h. It is called "dltensor", or "dltensor_versioned"
where both sides know DLPack 1, which can also say that an array is only for reading. Whoever takes
it puts "used_" before that name and, when done, calls the structure's deleter.

The CUDA array interface, version 3: an attribute that is a dict.

Both say which stream has the work that an array still waits for: 1 is the default stream, 2 that of
each thread, a larger number the address of one of somebody's own, and 0 says nothing and is
refused. In DLPack the taker names his stream, and the giver makes it wait (unless it is -1); in the
other protocol the giver names his, and the taker waits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DTypeError
from ._driver import driver
from ._memory import Memory

KINDS = "fiub"                  # of dtypes that an array of the device may have
CPU, CUDA = 1, 2                # kinds of devices
DEFAULT_STREAM, NO_WAIT = 1, -1
VERSION = (1, 0)                # of DLPack, that we give and take
READ_ONLY, COPIED = 1, 2        # flags of an array
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_KINDS = {code: kind for kind, code in _CODES.items()}


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _DType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32),
                ("dtype", _DType), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    name, used = b"dltensor", b"used_dltensor"         # a capsule keeps no copy of them
    major, flags = 0, 0
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]


class _Versioned(ctypes.Structure):
    name, used = b"dltensor_versioned", b"used_dltensor_versioned"
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32),
                ("context", ctypes.c_void_p), ("deleter", _Deleter), ("flags", ctypes.c_uint64),
                ("tensor", _Tensor)]


_STRUCTURES = (_Managed, _Versioned)
_python = ctypes.pythonapi
_new_capsule = _python.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_rename = _python.PyCapsule_SetName
_rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
# These two by address: of a capsule that is dying no new reference may be made.
_is_called = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", _python))
_pointer_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _python))

_lent: dict[int, tuple[Any, ...]] = {}          # what others still use, by the structure's address


@_Deleter
def _take_back(managed: int) -> None:
    _lent.pop(managed, None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _capsule_dies(capsule: int) -> None:
    for kind in _STRUCTURES:
        if _is_called(capsule, kind.name):      # nobody took it
            _lent.pop(_pointer_in(capsule, kind.name), None)


def device() -> tuple[int, int]:
    """Kind and number; the simulator's memory is the host's."""
    return (CPU if driver().simulated else CUDA), 0


# ---- DLPack ----

def let_wait(stream: int | None) -> None:
    """Make the taker's stream wait for our work; None is the default stream."""
    if stream == 0:
        raise BufferError("__dlpack__: stream 0 may be two different ones: give 1 (the default "
                          "stream), 2 (that of this thread), or the address of another")
    if stream != NO_WAIT:
        driver().follow(stream or DEFAULT_STREAM, driver().stream)


def capsule(array: Any, versioned: bool, copied: bool) -> Any:
    """A capsule that holds `array`."""
    if not (versioned or array.flags.writeable):
        raise BufferError("__dlpack__: this array may only be read, which takes DLPack 1 to say; "
                          "its method copy() makes one that may be changed")
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    strides = (ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
    kind = _CODES[array.dtype.kind]
    tensor = _Tensor(array.address, _Device(*device()), array.ndim,
                     _DType(kind, 8 * array.itemsize, 1), shape, strides, 0)
    flags = READ_ONLY * (not array.flags.writeable) + COPIED * copied
    managed: Any = (_Versioned(*VERSION, None, _take_back, flags, tensor) if versioned
                    else _Managed(tensor, None, _take_back))
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, strides, array
    return _new_capsule(address, managed.name, ctypes.cast(_capsule_dies, ctypes.c_void_p))


class _Lender:
    """Somebody else's memory; the deleter is called when nobody refers to it any more."""

    def __init__(self, managed: Any) -> None:
        self._managed = managed

    def __del__(self) -> None:
        if self._managed.deleter:
            self._managed.deleter(ctypes.addressof(self._managed))


def from_dlpack(other: Any, make: Any) -> Any:
    """What another library's array holds, as `make` (our class) has it."""
    try:
        where = tuple(map(int, other.__dlpack_device__()))
    except AttributeError:
        raise DTypeError(f"cuda: {type(other).__name__} has neither __cuda_array_interface__ nor "
                         "__dlpack__; to_device copies an array of the host") from None
    if where != device():
        raise DTypeError(f"cuda: this array lies on device {where} (kind, number), not on "
                         f"{device()}; to_device copies an array of the host")
    options = {} if driver().simulated else {"stream": int(driver().stream)}
    try:
        held = other.__dlpack__(max_version=VERSION, **options)
    except TypeError:                           # older than DLPack 1
        held = other.__dlpack__(**options)
    managed = _taken(held)
    lender = _Lender(managed)                   # whatever happens now, its deleter is called
    if managed.major > VERSION[0]:
        raise DTypeError(f"cuda: an array of DLPack {managed.major}, and {VERSION[0]} is known")
    tensor = managed.tensor
    code, bits, lanes = tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes
    if lanes != 1 or code not in _KINDS or bits not in (8, 16, 32, 64):
        raise DTypeError(f"cuda: an array of a dtype that NumPy does not have (of DLPack's: code "
                         f"{code}, {bits} bits, {lanes} lanes)")
    dtype = np.dtype(f"{_KINDS[code]}{bits // 8}")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] * dtype.itemsize
                    for i in range(tensor.ndim)) if tensor.strides else None
    memory = Memory((tensor.data or 0) + tensor.byte_offset, 0, lender)
    return make(memory, shape, dtype, strides, writeable=not managed.flags & READ_ONLY)


def _taken(held: Any) -> Any:
    """The structure in a capsule, which is marked as used."""
    for kind in _STRUCTURES:
        if _is_called(id(held), kind.name):
            managed = kind.from_address(_pointer_in(id(held), kind.name))
            _rename(held, kind.used)
            return managed
    raise DTypeError("cuda: __dlpack__ gave no capsule that holds an array nobody has taken")


# ---- the CUDA array interface ----

def from_interface(about: Mapping[str, Any], other: Any, make: Any) -> Any:
    """The array of the device that `about` describes, as `make` (our class) has it."""
    dtype = np.dtype(about["typestr"])
    if dtype.kind not in KINDS or not dtype.isnative:
        raise DTypeError(f"cuda: an array of {about['typestr']} has no place on the device")
    if about.get("mask") is not None:
        raise DTypeError("cuda: an array with a mask, and arrays of the device have none")
    stream = about.get("stream")
    if stream == 0:
        raise DTypeError("cuda: __cuda_array_interface__ names stream 0, which may be two "
                         "different ones")
    if stream is not None:
        driver().follow(driver().stream, stream)
    (address, read_only), strides = about["data"], about.get("strides")
    return make(Memory(address or 0, 0, other), about["shape"], dtype,
                strides and tuple(map(int, strides)), writeable=not read_only)
