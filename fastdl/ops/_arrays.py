"""What every operation does with its arguments before a kernel runs.

- Floating arrays keep their dtype (float16, float32, float64) and must agree with each other.
- Integers and booleans become the dtype of the other arrays of the call, or float32.
- Other byte orders and layouts are copied once into a native, C-contiguous array.
- Feature maps (N, C, ...) may also be channels-last: in memory (N, ..., C). Where an operation
  takes both, its results have the layout of its first array, and the others are brought to it.
- The factors of a matrix product may be slices whose rows, or columns, lie apart.
- Arrays on a device stay there, and are never copied: float32 and contiguous, all of a call.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from .._kernels._dispatch import kernel as kernel
from .._kernels._dispatch import wanted as wanted
from ..cuda import Array as DeviceArray
from ..cuda import empty as empty_on_device
from ..errors import ArgumentError, DTypeError, ShapeError

Array: TypeAlias = np.ndarray
Pair: TypeAlias = int | Sequence[int]
Layout: TypeAlias = Callable[[Array], bool]     # whether an array need not be copied

class Shaped(Protocol):
    """What checks of shapes look at: an array, or what stands for one that is not there yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""

    @property
    def ndim(self) -> int:
        """As of an array."""

    @property
    def dtype(self) -> np.dtype:
        """As of an array."""


_FLOATS = "efd"                 # numpy's characters for float16, float32, float64
_LINE = 64                      # bytes
LARGE = 1 << 15                # bytes; below, looking for the line takes longer than it saves
_CONTIGUOUS: Mapping[str, Layout] = {}


def real(operation: str, name: str, array: Any, ndim: int | None = None,
         layout: Layout | None = None) -> Array:
    """`array` ready for a kernel; `ndim` is the rank it must have, `layout` what it may be too."""
    if not is_ready(array, layout):
        array = _prepared(operation, name, array, np.dtype(np.float32))
    if ndim is not None and array.ndim != ndim:
        raise ShapeError(f"{operation}: {name} must have {ndim} dimensions, got {array.shape}")
    return array


def real_like(operation: str, name: str, array: Any, other: Array, other_name: str,
              layout: Layout | None = None) -> Array:
    """`array` ready for a kernel, of `other`'s dtype."""
    if not is_ready(array, layout):
        array = _prepared(operation, name, array, other.dtype)
    if on_device(array) is not on_device(other):
        raise _elsewhere(operation, name, array, other_name)
    if array.dtype != other.dtype:
        raise DTypeError(f"{operation}: {name} is {array.dtype} but {other_name} is "
                         f"{other.dtype}; convert one with astype")
    return array


def common(operation: str, layouts: Mapping[str, Layout] = _CONTIGUOUS,
           **arrays: Any) -> list[Any]:
    """All `arrays` ready for a kernel and of one dtype; None stays None.

    `layouts` says of some of them in which layouts, beside the usual one, they may stay.
    """
    given = {name: a if on_device(a) else np.asarray(a) for name, a in arrays.items()
             if a is not None}
    leader = next((name for name, a in given.items() if a.dtype.kind == "f"), None)
    if leader is None:
        return [None if a is None else real(operation, name, a) for name, a in arrays.items()]
    lead = real(operation, leader, given[leader], layout=layouts.get(leader))
    return [None if a is None else real_like(operation, name, a, lead, leader, layouts.get(name))
            for name, a in arrays.items()]


def on_device(array: Any) -> bool:
    """Whether `array` lies in a device's memory."""
    return type(array) is DeviceArray


def _elsewhere(operation: str, name: str, array: Any, other_name: str) -> DTypeError:
    places = ("the device", "the host") if on_device(array) else ("the host", "the device")
    return DTypeError(f"{operation}: {name} lies on {places[0]} but {other_name} on {places[1]}; "
                      "fastdl.cuda.to_device copies to the device, its arrays' numpy() back")


def is_channels_last(array: Array) -> bool:
    """Whether (N, C, ...) lies in memory as (N, ..., C), and not also as (N, C, ...)."""
    return (array.ndim > 2 and not on_device(array) and not array.flags.c_contiguous
            and channels_to_end(array).flags.c_contiguous)


def channels_to_end(maps: Array) -> Array:
    """(N, C, ...) seen as (N, ..., C)."""
    return maps.transpose(0, *range(2, maps.ndim), 1)   # np.moveaxis takes ten times as long


def channels_to_front(pixels: Array) -> Array:
    """(N, ..., C) seen as (N, C, ...)."""
    return pixels.transpose(0, -1, *range(1, pixels.ndim - 1))


def maps(operation: str, name: str, array: Any, ndim: int | None = None) -> Array:
    """`real` for feature maps (N, C, ...), which may stay channels-last."""
    if isinstance(array, np.ndarray) and is_channels_last(array):
        return channels_to_front(real(operation, name, channels_to_end(array), ndim))
    return real(operation, name, array, ndim)


def maps_like(operation: str, name: str, array: Any, other: Array, other_name: str) -> Array:
    """`array` ready for a kernel, of `other`'s dtype and layout."""
    if on_device(array) or not is_channels_last(other) or np.ndim(array) != other.ndim:
        return real_like(operation, name, array, other, other_name)
    last = channels_to_end(np.asarray(array))
    return channels_to_front(real_like(operation, name, last, other, other_name))


def empty(shape: Sequence[int], dtype: Any, like: Any = None) -> Array:
    """`numpy.empty`, but a large array begins where a line of the cache does.

    NumPy's begin 16 bytes after one, so that every vector of 64 bytes lies in two. It lies on the
    device if the array `like` does.
    """
    if on_device(like):
        there: Any = empty_on_device(shape, dtype)
        return there
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    memory = np.empty(size + _LINE, np.uint8)
    return np.ndarray(shape, dtype, memory, -memory.ctypes.data % _LINE)


def empty_maps(shape: tuple[int, ...], like: Array, dtype: Any = None, *,
               channels_last: bool = False) -> Array:
    """An array (N, C, ...) of `like`'s layout, and of its dtype unless another is given.

    With `channels_last` it is that whatever `like` is.
    """
    dtype = like.dtype if dtype is None else dtype
    if not (channels_last or is_channels_last(like)):
        return empty(shape, dtype, like)
    return channels_to_front(empty((shape[0], *shape[2:], shape[1]), dtype))


def has_rows(array: Array) -> bool:
    """Whether this is a matrix made of contiguous rows, one after another, maybe with gaps."""
    if array.ndim != 2 or array.flags.c_contiguous:
        return array.ndim == 2
    between, along = array.strides
    return (along == array.itemsize and between % along == 0
            and between >= array.shape[1] * along)


def is_ready(array: Any, layout: Layout | None = None) -> bool:
    """Whether `array` may go to a kernel as it is."""
    if type(array) is not np.ndarray:
        return on_device(array) and array.dtype == np.float32 and (
            array.flags.c_contiguous or (layout is not None and layout(array)))
    dtype, flags = array.dtype, array.flags
    return (dtype.char in _FLOATS and dtype.isnative and flags.aligned
            and (flags.c_contiguous or (layout is not None and layout(array))))


def _prepared(operation: str, name: str, array: Any, dtype_of_integers: np.dtype) -> Array:
    if on_device(array):
        raise DTypeError(f"{operation}: {name} is {array.dtype} with strides {array.strides}; on "
                         "the device it must be float32 and contiguous")
    array = np.asarray(array)
    if array.dtype.kind in "biu":
        return np.require(array, dtype_of_integers, ["C", "A"])
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise DTypeError(f"{operation}: {name} has dtype {array.dtype}, expected float16, "
                         "float32 or float64 (or integers)")
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def expect_shape(operation: str, name: str, array: Array, shape: tuple[int, ...],
                 why: str) -> None:
    """Raise unless `array` has `shape`; `why` says where that shape comes from."""
    if array.shape != shape:
        raise ShapeError(f"{operation}: {name} must be {shape} ({why}), got {array.shape}")


def as_numpy(x: Any) -> np.ndarray:
    """A NumPy array of anything array-like; other libraries' arrays by DLPack, without a copy.

    >>> as_numpy([1, 2])
    array([1, 2])
    """
    if isinstance(x, np.ndarray) or not hasattr(x, "__dlpack__"):
        return np.asarray(x)
    return np.from_dlpack(x.detach() if hasattr(x, "detach") else x)    # PyTorch's, of a graph


def integers(operation: str, name: str, value: Pair, least: int, count: int) -> tuple[int, ...]:
    """`count` integers from one or that many, each at least `least`."""
    if type(value) is int and value >= least:           # nearly always
        return (value,) * count
    several: Any = (value,) * count if np.ndim(value) == 0 else tuple(value)  # type: ignore[arg-type]
    wanted = {1: "an integer", 2: "an integer or a pair"}.get(count, f"an integer or {count}")
    if len(several) != count:
        raise ArgumentError(f"{operation}: {name} must be {wanted}, got {value!r}")
    try:
        numbers = tuple(number.__index__() for number in several)
    except (AttributeError, TypeError):
        raise ArgumentError(f"{operation}: {name} must be made of integers, "
                            f"got {value!r}") from None
    if min(numbers) < least:
        raise ArgumentError(f"{operation}: {name} must be at least {least}, got {value!r}")
    return numbers


def pair(operation: str, name: str, value: Pair, least: int) -> tuple[int, int]:
    """(height, width) from one integer or two, each at least `least`."""
    h, w = integers(operation, name, value, least, 2)
    return h, w


def fraction(operation: str, name: str, value: float, *, below_one: bool = True) -> float:
    """`value` if it is a number from 0 up to 1 (excluded with `below_one`)."""
    bracket = ")" if below_one else "]"
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan                 # in no range
    if not 0 <= number < 1 and (below_one or number != 1):
        raise ArgumentError(f"{operation}: {name} must be in [0, 1{bracket}, got {value!r}")
    return number


def window_output(operation: str, size: Sequence[int], kernel_size: Sequence[int],
                  stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
                  ceil_mode: bool = False) -> tuple[int, ...]:
    """How often a window fits that slides over `size`: (OH, OW)."""
    output = []
    for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if room < 0:
            raise ShapeError(
                f"{operation}: kernel {kernel_size} (dilation {dilation}) is larger than the "
                f"input {size} with padding {padding}")
        o = room // s + 1
        # The last window of ceil_mode must still start inside the input or its left padding.
        if ceil_mode and room % s and o * s < n + p:
            o += 1
        output.append(o)
    return tuple(output)
