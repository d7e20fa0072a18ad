"""Batches of training images: gathered, cropped, mirrored and normalised in one pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ._arrays import Array, Pair, empty_maps, expect_shape, is_channels_last, kernel, pair, real

PerChannel = float | Sequence[float] | Array


def crop_mirror_normalize(x: Any, rows: Any = None, *, size: Pair | None = None, top: Any = 0,
                          left: Any = 0, mirror: Any = False, scale: PerChannel = 1.0,
                          shift: PerChannel = 0.0, fill: PerChannel = 0.0,
                          out: Array | None = None, backend: str | None = None) -> Array:
    """The images ``x[rows]``, cropped, mirrored, and then scaled and shifted by channel.

    Pixel (i, j) of a result is ``scale * x[row, :, top + i, left + j] + shift``; mirrored images
    have their columns in reverse order. One pass over memory does it all.

    Parameters
    ----------
    x : (M, C, H, W), or channels-last
        uint8 is read as it is, into float32; other dtypes as everywhere.
    rows : (N,) integers
        Which images, all of them unless given.
    size : (OH, OW)
        Of the results; that of `x` unless given.
    top, left : integers, one or (N,)
        Where the crop begins. It may reach beyond the image: `fill` is there, not normalised.
    mirror : booleans, one or (N,)
    scale, shift, fill : one number, or (C,)
    out : (N, C, OH, OW), C-contiguous or channels-last
        Where to write the result.

    Returns
    -------
    (N, C, OH, OW)
        `out`, or a new array of x's layout.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        before anything is written

    >>> x = np.array([[[[1, 2], [3, 4]]]], np.uint8)
    >>> crop_mirror_normalize(x, size=(1, 3), top=1, left=-1, mirror=True, scale=0.5, fill=9)
    array([[[[2. , 1.5, 9. ]]]], dtype=float32)
    """
    operation = "crop_mirror_normalize"
    x = np.asarray(x)
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ShapeError(f"{operation}: x must be images (N, C, H, W) with pixels, got {x.shape}")
    rows = _rows(operation, rows, len(x))
    if not _is_readable(x):             # only what is asked for is copied
        x, rows = real(operation, "x", x[rows]), np.arange(len(rows))
    C, *image_size = x.shape[1:]
    shape = (len(rows), C, *(image_size if size is None else pair(operation, "size", size, 1)))
    places = [_per_image(operation, name, values, len(rows))
              for name, values in (("top", top), ("left", left), ("mirror", mirror))]
    dtype = np.dtype(np.float32) if x.dtype == np.uint8 else x.dtype
    numbers = [_per_channel(operation, name, values, C, dtype)
               for name, values in (("scale", scale), ("shift", shift), ("fill", fill))]
    y = empty_maps(shape, x, dtype) if out is None else out
    _check_out(operation, y, shape, dtype)
    kernel("crop_mirror_normalize", y, backend)(x, rows, *places, *numbers, y)
    return y


def _is_readable(x: Array) -> bool:
    """Whether kernels read `x` where it is."""
    return (x.dtype.char in "Befd" and x.dtype.isnative and x.flags.aligned
            and (x.flags.c_contiguous or is_channels_last(x)))


def _rows(operation: str, rows: Any, count: int) -> Array:
    if rows is None:
        return np.arange(count)
    rows = np.asarray(rows)
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and rows.size):
        raise ArgumentError(f"{operation}: rows must be integers (N,), got {rows.dtype} "
                            f"{rows.shape}")
    rows = np.require(rows, np.int64, ["C", "A"])
    if rows.size and not 0 <= rows.min() <= rows.max() < count:
        raise ArgumentError(f"{operation}: rows must be in [0, {count}), got {rows.min()} to "
                            f"{rows.max()}")
    return rows


def _per_image(operation: str, name: str, values: Any, count: int) -> Array:
    values = np.asarray(values)
    if values.dtype.kind not in "biu" or values.shape not in ((), (count,)):
        raise ArgumentError(f"{operation}: {name} must be an integer or ({count},) of them, got "
                            f"{values.dtype} {values.shape}")
    return np.require(values, np.int64, ["C", "A"]) if values.ndim else np.full(count, values, int)


def _per_channel(operation: str, name: str, values: Any, C: int, dtype: np.dtype) -> Array:
    values = np.asarray(values)
    if values.dtype.kind not in "biuf" or values.shape not in ((), (1,), (C,)):
        raise ArgumentError(f"{operation}: {name} must be a number or ({C},) of them, one for each "
                            f"channel, got {values.dtype} {values.shape}")
    if values.shape != (C,):
        return np.full(C, values, dtype)
    return np.require(values, dtype, ["C", "A"])


def _check_out(operation: str, out: Array, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        got = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise DTypeError(f"{operation}: out must be an array of {dtype}, got {got}")
    expect_shape(operation, "out", out, shape, "images, channels, size")
    if not out.flags.writeable or not out.flags.aligned or not (out.flags.c_contiguous
                                                                or is_channels_last(out)):
        raise ArgumentError(f"{operation}: out must be writeable, and C-contiguous or "
                            "channels-last")
