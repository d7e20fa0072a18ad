"""Arrays in a device's memory: shapes and strides as NumPy has them, and no arithmetic.

What is computed with them is computed by `fastdl.ops`. Views share memory: reshaped arrays, slices
with step 1, axes in another order.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from . import _exchange, _memory
from ._driver import driver

Shape = tuple[int, ...]


class Flags:
    """What `numpy.ndarray.flags` says, as far as it is asked for here."""

    __slots__ = ("c_contiguous", "writeable")
    aligned = True

    def __init__(self, c_contiguous: bool, writeable: bool) -> None:
        self.c_contiguous, self.writeable = c_contiguous, writeable

    @property
    def carray(self) -> bool:
        """As of NumPy."""
        return self.c_contiguous and self.writeable


class Array:
    """An array in the device's memory.

    `fastdl.cuda.to_device` makes one of a NumPy array; `numpy` copies it back. Nothing else copies
    between the two.

    Attributes
    ----------
    shape, dtype, strides, ndim, size, nbytes, itemsize, flags, T
        As of `numpy.ndarray`.
    address : int
        Where its first element lies.
    """

    __slots__ = ("_memory", "_offset", "dtype", "flags", "ndim", "shape", "size", "strides")

    def __init__(self, memory: _memory.Memory, shape: Shape, dtype: Any,
                 strides: Shape | None = None, offset: int = 0, writeable: bool = True) -> None:
        self._memory, self._offset = memory, offset
        self.shape, self.dtype = tuple(map(int, shape)), np.dtype(dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        usual = _strides(self.shape, self.dtype.itemsize)
        self.strides = usual if strides is None else strides
        self.flags = Flags(self.size == 0 or all(
            n == 1 or given == needed
            for n, given, needed in zip(self.shape, self.strides, usual, strict=True)), writeable)

    # ---- what NumPy's have ----

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.itemsize

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return self._memory.address + self._offset

    @property
    def extent(self) -> int:
        """Elements from the first to the last in memory, gaps counted."""
        if self.size == 0:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)
                       ) // self.itemsize

    @property
    def T(self) -> Array:
        """Axes in reverse order."""
        return self.transpose(range(self.ndim)[::-1])

    def transpose(self, axes: Sequence[int]) -> Array:
        """A view with axes in this order."""
        return self._view(tuple(self.shape[i] for i in axes), self.dtype,
                          tuple(self.strides[i] for i in axes), self._offset)

    def reshape(self, *shape: Any) -> Array:
        """A view of another shape; of an array whose elements lie in order."""
        wanted = list(shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)
        if -1 in wanted:
            rest = math.prod(n for n in wanted if n != -1)
            wanted[wanted.index(-1)] = self.size // max(rest, 1)
        if math.prod(wanted) != self.size:
            raise ShapeError(f"reshape: {self.shape} has {self.size} elements, not those of "
                             f"{tuple(wanted)}")
        if not self.flags.c_contiguous:
            raise ArgumentError(f"reshape: an array on the device must be contiguous; this one, "
                                f"{self.shape}, has strides {self.strides}")
        return self._view(tuple(wanted), self.dtype, None, self._offset)

    def view(self, dtype: Any) -> Array:
        """The same bytes as numbers of another dtype; of a contiguous vector."""
        dtype = np.dtype(dtype)
        assert self.ndim == 1
        assert self.flags.c_contiguous
        assert self.nbytes % dtype.itemsize == 0
        return self._view((self.nbytes // dtype.itemsize,), dtype, None, self._offset)

    def _view(self, shape: Shape, dtype: Any, strides: Shape | None, offset: int) -> Array:
        return Array(self._memory, shape, dtype, strides, offset, self.flags.writeable)

    def __getitem__(self, index: Any) -> Array:
        """A view: integers and slices with step 1."""
        given = index if isinstance(index, tuple) else (index,)
        given = tuple(part for part in given if part is not ...)
        if len(given) > self.ndim:
            raise IndexError(f"{len(given)} indices for an array of {self.ndim} dimensions")
        shape, strides, offset = [], [], self._offset
        for axis, (n, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            part = given[axis] if axis < len(given) else slice(None)
            if isinstance(part, slice):
                begin, end, step = part.indices(n)
                if step != 1:
                    raise ArgumentError(f"arrays on the device have slices with step 1, got {step}")
                shape.append(max(0, end - begin))
                strides.append(stride)
            else:
                begin = operator.index(part)
                if not -n <= begin < n:
                    raise IndexError(f"index {begin} is out of bounds for {n}")
                begin %= n
            offset += begin * stride
        return self._view(tuple(shape), self.dtype, tuple(strides), offset)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy an array of the device, or of the host, or one number into a part."""
        part = self[index]
        if np.ndim(value) == 0 and not isinstance(value, Array):
            part.fill(value)
        else:
            part.copy_from(value if isinstance(value, Array) else np.asarray(value, self.dtype))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<cuda.Array {self.shape} {self.dtype}>"

    # ---- contents ----

    def numpy(self) -> np.ndarray:
        """A copy in the host's memory."""
        dense = self if self.flags.c_contiguous else _gathered(self)
        result = np.empty(self.shape, self.dtype)
        if self.size:
            driver().copy_out(result, dense.address)
        return result

    def item(self) -> Any:
        """The only element, copied to the host."""
        return self.numpy().item()

    def copy_from(self, other: Any) -> None:
        """Copy an array of this shape and dtype here, from the device or from the host."""
        if not isinstance(other, Array):
            other = np.asarray(other, order="C")
        if other.shape != self.shape or other.dtype != self.dtype:
            raise ShapeError(f"cuda: an array {other.shape} {other.dtype} cannot be copied into "
                             f"one of {self.shape} {self.dtype}")
        self._writeable("copy_from")
        if isinstance(other, Array):
            other._contiguous("copy_from")
        if self.size == 0:
            return
        if isinstance(other, Array):
            driver().copy(self.address, other.address, self.nbytes)
        else:
            driver().copy_in(self.address, other)

    def fill(self, value: float) -> None:
        """Set all elements."""
        self._writeable("fill")
        if self.size and value == 0:
            driver().fill(self.address, 0, self.nbytes)
        elif self.size:
            self.copy_from(np.full(self.shape, value, self.dtype))

    def copy(self) -> Array:
        """A contiguous array of its own memory."""
        if not self.flags.c_contiguous:
            return _gathered(self)
        result = empty(self.shape, self.dtype)
        result.copy_from(self)
        return result

    def _contiguous(self, operation: str) -> None:
        if not self.flags.c_contiguous:
            raise ArgumentError(f"{operation}: an array on the device must be contiguous; this "
                                f"one, {self.shape}, has strides {self.strides}")

    def _writeable(self, operation: str) -> None:
        self._contiguous(operation)
        if not self.flags.writeable:
            raise ArgumentError(f"{operation}: this array, {self.shape}, is another library's, who "
                                "lets it be read alone")

    # ---- other libraries ----

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise DTypeError(f"an array {self.shape} lies on the device, and here one of the host is "
                         "needed; its method numpy() copies it")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "version": 3,
                "data": (self.address if self.size else 0, not self.flags.writeable),
                "strides": None if self.flags.c_contiguous else self.strides,
                "stream": int(driver().stream) or None}

    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        if dl_device is not None and tuple(dl_device) != _exchange.device():
            raise BufferError(f"this array lies on device {_exchange.device()} (kind, number), not "
                              f"on {tuple(dl_device)}; its method numpy() copies it to the host")
        array = self.copy() if copy else self
        _exchange.let_wait(stream)
        return _exchange.capsule(array, max_version is not None and max_version[0] >= 1,
                                 bool(copy))

    def __dlpack_device__(self) -> tuple[int, int]:
        return _exchange.device()


def _strides(shape: Sequence[int], itemsize: int) -> Shape:
    """Of a contiguous array."""
    result: list[int] = []
    for n in reversed(shape):
        result.append(itemsize)
        itemsize *= max(n, 1)
    return tuple(reversed(result))


def _gathered(array: Array) -> Array:
    """A contiguous copy of a matrix whose rows have gaps between them, or of any other view."""
    result = empty(array.shape, array.dtype)
    if array.ndim == 0 or array.size == 0:
        return result
    if array[0].flags.c_contiguous:
        for source, target in zip(_rows(array), _rows(result), strict=True):
            target.copy_from(source)
        return result
    for i in range(len(array)):
        result[i].copy_from(array[i].copy())
    return result


def _rows(array: Array) -> list[Array]:
    return [array[i] for i in range(len(array))]


# ---- new ones ----

def empty(shape: Sequence[int], dtype: Any = np.float32) -> Array:
    """An array in the device's memory, with anything in it.

    Raises
    ------
    DeviceError, DeviceMemoryError
    """
    dtype = np.dtype(dtype)
    return Array(_memory.allocate(math.prod(shape) * dtype.itemsize), tuple(shape), dtype)


def zeros(shape: Sequence[int], dtype: Any = np.float32) -> Array:
    """An array of zeros in the device's memory."""
    result = empty(shape, dtype)
    result.fill(0)
    return result


def to_device(array: Any) -> Array:
    """Copy an array of the host into the device's memory.

    Parameters
    ----------
    array : NumPy array, or what can be made one
        float64 becomes float32, the only floating dtype that the kernels of the device know; an
        array of the device is returned as it is.

    Raises
    ------
    DTypeError, DeviceError, DeviceMemoryError
    """
    if isinstance(array, Array):
        return array
    array = np.asarray(array)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    if array.dtype.kind not in _exchange.KINDS:
        raise DTypeError(f"to_device: an array of {array.dtype} has no place on the device")
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    result = empty(array.shape, array.dtype)
    result.copy_from(array)
    return result


def asarray(other: Any) -> Array:
    """An array of another library as one of ours, without a copy.

    What that library has under way is waited for on the device: by the stream that it names.

    Parameters
    ----------
    other : has ``__cuda_array_interface__`` (CuPy, PyTorch, numba), or ``__dlpack__``
        It is kept alive. If it may only be read, so may the result.

    Raises
    ------
    DTypeError
        when it does not lie on the device, or is of a dtype that NumPy does not have
    """
    if isinstance(other, Array):
        return other
    try:
        about = other.__cuda_array_interface__
    except (AttributeError, TypeError, RuntimeError, ValueError):
        return _exchange.from_dlpack(other, Array)
    return _exchange.from_interface(about, other, Array)
