"""DLPack: arrays handed to other libraries and taken from them, without a copy.

The structures are those of DLPack 0.x (dlpack.h), which every library understands. A capsule called
"dltensor" holds one; whoever takes it calls it "used_dltensor" and, when done, calls its deleter.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..errors import DTypeError
from ._driver import driver
from ._memory import Memory

CPU, CUDA = 1, 2                # kinds of devices
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_KINDS = {0: "i", 1: "u", 2: "f", 6: "b"}


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _DType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32),
                ("dtype", _DType), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]

_NAME, _USED = b"dltensor", b"used_dltensor"
_python = ctypes.pythonapi
_new_capsule = _python.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_pointer_of = _python.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
_rename = _python.PyCapsule_SetName
_rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
# The same two for a capsule that is dying, of which no new reference may be made.
_is_unused = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", _python))
_pointer_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _python))

_lent: dict[int, tuple[Any, ...]] = {}          # what others still use, by the structure's address


@_Deleter
def _take_back(managed: Any) -> None:
    _lent.pop(ctypes.addressof(managed.contents), None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _capsule_dies(capsule: int) -> None:
    if _is_unused(capsule, _NAME):
        _lent.pop(_pointer_in(capsule, _NAME), None)


def device() -> tuple[int, int]:
    """Kind and number; the simulator's memory is the host's."""
    return (CPU if driver().simulated else CUDA), 0


def capsule(array: Any) -> Any:
    """A capsule that holds `array`."""
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    strides = (ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
    kind = _CODES[array.dtype.kind]
    managed = _Managed(_Tensor(array.address, _Device(*device()), array.ndim,
                               _DType(kind, 8 * array.itemsize, 1), shape, strides, 0),
                       None, _take_back)
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, strides, array
    return _new_capsule(address, _NAME, ctypes.cast(_capsule_dies, ctypes.c_void_p))


class _Lender:
    """Somebody else's memory; the deleter is called when nobody refers to it any more."""

    def __init__(self, managed: _Managed) -> None:
        self._managed = managed

    def __del__(self) -> None:
        if self._managed.deleter:
            self._managed.deleter(ctypes.byref(self._managed))


def from_dlpack(other: Any, make: Any) -> Any:
    """What another library's array holds, as `make` (our class) has it."""
    try:
        where = tuple(other.__dlpack_device__())
    except AttributeError:
        raise DTypeError(f"cuda: {type(other).__name__} has neither __cuda_array_interface__ nor "
                         "__dlpack__; to_device copies an array of the host") from None
    if where != device():
        raise DTypeError(f"cuda: this array lies on device {where} (kind, number), not on "
                         f"{device()}; to_device copies an array of the host")
    stream = {} if driver().simulated else {"stream": int(driver().stream)}
    held = other.__dlpack__(**stream)
    managed = _Managed.from_address(_pointer_of(held, _NAME))
    _rename(held, _USED)
    tensor, lender = managed.tensor, _Lender(managed)
    if tensor.dtype.lanes != 1 or tensor.dtype.code not in _KINDS:
        raise DTypeError("cuda: an array of a dtype that NumPy does not have")
    dtype = np.dtype(f"{_KINDS[tensor.dtype.code]}{tensor.dtype.bits // 8}")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] * dtype.itemsize
                    for i in range(tensor.ndim)) if tensor.strides else None
    memory = Memory((tensor.data or 0) + tensor.byte_offset, 0, lender)
    return make(memory, shape, dtype, strides)
