"""Which dtype a layer computes in, and arrays of that dtype."""

from typing import Any

import numpy as np

from ... import ops
from ...ops._arrays import is_channels_last
from .. import engine

_KERNELS = "fd"                 # NumPy's characters for float32 and float64


def kernel_dtype(*arrays: Any) -> np.dtype | None:
    """What a kernel computes with these in; None where that is NumPy's business.

    It is NumPy's for anything but real arrays, and for float16 among themselves.
    """
    if not _are_real(arrays):
        return None
    return _of_kernels(np.result_type(*arrays) if engine.dtype is None else engine.dtype)


def window_dtype(*arrays: Any) -> np.dtype | None:
    """The same for convolution and pooling, which the course computes in float64 whatever comes."""
    return _of_kernels(engine.dtype or np.float64) if _are_real(arrays) else None


def _are_real(arrays: tuple[Any, ...]) -> bool:
    return all(type(array) is np.ndarray and array.dtype.kind in "fiub" for array in arrays)


def _of_kernels(dtype: Any) -> np.dtype | None:
    dtype = np.dtype(dtype)
    return dtype if dtype.char in _KERNELS else None


def of_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array` itself, or a copy of that dtype and of the same layout in memory."""
    return array if array.dtype == dtype else array.astype(dtype)


def flat(x: np.ndarray) -> np.ndarray:
    """(N, ...) as (N, features), in the order that its shape says; a view if it can be."""
    if x.ndim == 4 and is_channels_last(x) and x.dtype.char in _KERNELS:
        x = ops.to_planes(x)
    return x.reshape(x.shape[0], -1)


def laid_out(maps: np.ndarray, channels_last: bool) -> np.ndarray:
    """`maps` (N, C, H, W) in that memory layout; what is no such maps of the kernels as it is.

    Gradients are laid out as what they are the gradients of, so that layers find both alike.
    """
    if maps.ndim != 4 or maps.dtype.char not in _KERNELS:
        return maps
    return ops.to_channels_last(maps) if channels_last else ops.to_planes(maps)


def bias_vector(b: Any, size: int, dtype: np.dtype) -> np.ndarray | None:
    """`b` as the (size,) that kernels add to each row; None for anything of another shape."""
    if type(b) is np.ndarray and b.shape == (size,) and b.dtype.kind in "fiub":
        return of_dtype(b, dtype)
    return None
