"""Padding of feature maps, and its gradient."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, Shaped, empty_maps, expect_shape, maps

Sides = tuple[tuple[int, int], ...]             # before and behind, for each spatial dimension

MODES = ("constant", "reflect", "replicate", "circular")


def checked_sides(operation: str, x: Shaped, padding: Sequence[int], mode: str) -> Sides:
    """The padding as PyTorch has it (last dimension first), checked, for each dimension of `x`."""
    if mode not in MODES:
        raise ArgumentError(f"{operation}: mode must be one of {', '.join(MODES)}, got {mode!r}")
    values = [int(p) for p in padding]
    if (len(values) % 2 or any(p < 0 for p in values) or x.ndim < 3
            or len(values) > 2 * (x.ndim - 2)):
        raise ArgumentError(f"{operation}: padding must be two numbers of at least 0 for each "
                            f"spatial dimension of x {x.shape}, the last first, got "
                            f"{tuple(padding)}")
    sides = [(values[i], values[i + 1]) for i in range(0, len(values), 2)][::-1]
    sides = [(0, 0)] * (x.ndim - 2 - len(sides)) + sides
    most = {"reflect": -1, "circular": 0}.get(mode)
    for n, side in zip(x.shape[2:], sides, strict=True):
        if (most is not None and max(side) > n + most) or (mode == "replicate" and n < 1):
            raise ShapeError(f"{operation}: {mode} padding {side} is too large for a dimension of "
                             f"{n}: x {x.shape}")
    return tuple(sides)


def padded_shape(shape: tuple[int, ...], sides: Sides) -> tuple[int, ...]:
    """Shape of the result."""
    return (*shape[:2], *(n + sum(side) for n, side in zip(shape[2:], sides, strict=True)))


def _inside(shape: tuple[int, ...], sides: Sides) -> tuple[slice, ...]:
    """Where the unpadded array of `shape` lies."""
    return (slice(None), slice(None),
            *(slice(side[0], side[0] + n) for n, side in zip(shape[2:], sides, strict=True)))


def _copies(shape: tuple[int, ...], sides: Sides, mode: str) -> Iterator[tuple[Any, Any]]:
    """Index of each row of padding, and of the row that it repeats, dimension by dimension."""
    for axis, (n, (before, behind)) in enumerate(zip(shape[2:], sides, strict=True), 2):
        for i in (*range(before), *range(before + n, before + n + behind)):
            place = i - before
            source = {"replicate": min(max(place, 0), n - 1), "circular": place % n,
                      "reflect": -place if place < 0 else 2 * (n - 1) - place}[mode]
            every = (slice(None),) * axis
            yield (*every, i), (*every, before + source)


def pad_into(x: Array, y: Array, sides: Sides, mode: str, value: float) -> None:
    """Fill `y` with `x` and its padding."""
    if mode == "constant":
        y.fill(value)
    y[_inside(x.shape, sides)] = x
    if mode != "constant":
        for row, source in _copies(x.shape, sides, mode):
            y[row] = y[source]


def fold_into(dy: Array, dx: Array, sides: Sides, mode: str) -> None:
    """Fill `dx` with the gradients of what `pad_into` has repeated."""
    if mode != "constant":
        dy = dy.copy(order="K")
        for row, source in reversed(list(_copies(dx.shape, sides, mode))):
            dy[source] += dy[row]
    dx[...] = dy[_inside(dx.shape, sides)]


def pad(x: Any, padding: Sequence[int], mode: str = "constant", value: float = 0.0) -> Array:
    """Surround feature maps.

    Parameters
    ----------
    x : (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    padding : before and behind, last dimension first: (left, right, top, bottom, …)
    mode : "constant", "reflect" (without the edge), "replicate" or "circular"
    value : the constant

    Returns
    -------
    of x's memory layout

    Raises
    ------
    ShapeError, ArgumentError, DTypeError

    >>> import numpy as np
    >>> pad(np.array([[[1.0, 2.0, 3.0]]]), (2, 1), "reflect")
    array([[[3., 2., 1., 2., 3., 2.]]])
    """
    x = maps("pad", "x", x)
    sides = checked_sides("pad", x, padding, mode)
    y = empty_maps(padded_shape(x.shape, sides), x)
    pad_into(x, y, sides, mode, value)
    return y


def pad_backward(dy: Any, x_shape: tuple[int, ...], padding: Sequence[int],
                 mode: str = "constant") -> Array:
    """Gradient of `pad`: what was repeated gets the gradients of all its copies."""
    dy = maps("pad_backward", "dy", dy)
    like = empty_maps(tuple(x_shape), dy)
    sides = checked_sides("pad_backward", like, padding, mode)
    expect_shape("pad_backward", "dy", dy, padded_shape(tuple(x_shape), sides),
                 "the shape of the output")
    fold_into(dy, like, sides, mode)
    return like
