"""Convolutions of one and three dimensions, and transposed ones: by the kernels of two dimensions.

One dimension is a row of height 1. In three, the slices that a window meets along the depth are
laid side by side as channels, for each place of the window (`_depth_slices`): what remains is one
convolution in two dimensions with KD times the channels. A transposed convolution is the gradient
of a convolution with regard to its input, and its gradient a convolution.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import (
    Array,
    Pair,
    Shaped,
    channels_to_end,
    channels_to_front,
    common,
    empty,
    empty_maps,
    expect_shape,
    integers,
    is_channels_last,
    maps_like,
    window_output,
)
from .conv import Window, conv2d, conv_algorithm, input_gradient, weight_gradient
from .layout import to_channels_last, to_planes

_AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


class WindowND(NamedTuple):
    """What a convolution of any number of dimensions takes after its arrays, checked."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def of_row(self) -> "WindowND":
        """The same for rows of height 1."""
        return WindowND((1, *self.stride), (0, *self.padding), (1, *self.dilation), self.groups)

    def of_slices(self) -> Window:
        """The same for slices, without the depth."""
        (_, *stride), (_, *padding), (_, *dilation), groups = self
        return Window(tuple(stride), tuple(padding),            # type: ignore[arg-type]
                      tuple(dilation), groups)                  # type: ignore[arg-type]


# ---- three passes, of arrays that are ready and fit ----

def _forward(x: Array, w: Array, b: Array | None, window: WindowND, backend: str | None) -> Array:
    if x.ndim == 3:
        return _forward(x[:, :, None], w[:, :, None], b, window.of_row(), backend)[:, :, 0]
    if x.ndim == 4:
        return conv2d(x, w, b, *window, backend=backend)
    slices, OD = _depth_slices(x, w, window)
    y = conv2d(slices, _flat_weight(w), b, *window.of_slices(), backend=backend)
    return _laid_like(_with_depth(y, len(x), OD), x)


def _input_gradient(dy: Array, w: Array, b: Array | None, x_shape: tuple[int, ...],
                    window: WindowND, backend: str | None) -> Array:
    """Gradient of the input, of shape `x_shape`; a bias is added to it where there is one."""
    if dy.ndim == 3:
        return _input_gradient(dy[:, :, None], w[:, :, None], b, (*x_shape[:2], 1, x_shape[2]),
                               window.of_row(), backend)[:, :, 0]
    if dy.ndim == 4:
        dx, flat = empty_maps(x_shape, dy), Window(*window)     # type: ignore[arg-type]
        if b is not None:
            dx[...] = b[:, None, None]
        algorithm = conv_algorithm("conv2d_backward_input", None, dx, w, flat)
        input_gradient(dy, w, None if b is None else dx, dx, flat, algorithm, backend)
        return dx
    N, OD = dy.shape[0], dy.shape[2]
    channels = w.shape[1] * w.shape[2] * window.groups
    slices = _input_gradient(_without_depth(dy), _flat_weight(w), None,
                             (N * OD, channels, *x_shape[3:]), WindowND(*window.of_slices()),
                             backend)
    return _laid_like(_summed_slices(slices, b, x_shape, w, window, OD), dy)


def _weight_gradient(dy: Array, x: Array, w: Array, window: WindowND, bias: bool,
                     backend: str | None) -> tuple[Array, Array | None]:
    if x.ndim == 3:
        dw, db = _weight_gradient(dy[:, :, None], x[:, :, None], w[:, :, None], window.of_row(),
                                  bias, backend)
        return dw[:, :, 0], db
    if x.ndim == 4:
        flat = Window(*window)                                  # type: ignore[arg-type]
        algorithm = conv_algorithm("conv2d_backward_weight", None, x, w, flat)
        return weight_gradient(dy, x, w.shape, flat, bias, algorithm, backend)
    slices, _ = _depth_slices(x, w, window)
    dw, db = _weight_gradient(_without_depth(dy), slices, _flat_weight(w),
                              WindowND(*window.of_slices()), bias, backend)
    OC, C, KD, KH, KW = w.shape
    return np.ascontiguousarray(dw.reshape(OC, KD, C, KH, KW).swapaxes(1, 2)), db


# ---- depth ----

def _meeting(window: WindowND, kd: int, D: int, OD: int) -> tuple[slice, slice]:
    """The places of the window whose tap `kd` lies inside, and the slices that it meets there."""
    step, offset = window.stride[0], kd * window.dilation[0] - window.padding[0]
    first = max(0, -(offset // step))
    last = min(OD, (D - 1 - offset) // step + 1)
    last = max(first, last)
    begin = first * step + offset
    return slice(first, last), slice(begin, begin + (last - first) * step, step)


def _depth_slices(x: Array, w: Array, window: WindowND) -> tuple[Array, int]:
    """What each place of the window along the depth meets: (N OD, groups KD C, H, W); and OD."""
    N, C, D, H, W = x.shape
    KD, groups = w.shape[2], window.groups
    (OD,) = window_output("conv3d", (D,), (KD,), window.stride[:1], window.padding[:1],
                          window.dilation[:1])
    slices = empty((N, OD, H, W, groups, KD, C // groups), x.dtype)
    x = channels_to_end(x).reshape(N, D, H, W, groups, C // groups)
    for kd in range(KD):
        places, met = _meeting(window, kd, D, OD)
        slices[:, places, ..., kd, :] = x[:, met]
        slices[:, :places.start, ..., kd, :] = 0
        slices[:, places.stop:, ..., kd, :] = 0
    return channels_to_front(slices.reshape(N * OD, H, W, C * KD)), OD


def _summed_slices(slices: Array, b: Array | None, x_shape: tuple[int, ...], w: Array,
                   window: WindowND, OD: int) -> Array:
    """The reverse of `_depth_slices`: what several places have met adds up."""
    N, C, D, H, W = x_shape
    KD, groups = w.shape[2], window.groups
    slices = channels_to_end(slices).reshape(N, OD, H, W, groups, KD, C // groups)
    x = empty((N, D, H, W, groups, C // groups), slices.dtype)
    x[...] = 0 if b is None else b.reshape(groups, C // groups)
    for kd in range(KD):
        places, met = _meeting(window, kd, D, OD)
        x[:, met] += slices[:, places, ..., kd, :]
    return channels_to_front(x.reshape(N, D, H, W, C))


def _flat_weight(w: Array) -> Array:
    """(OC, C, KD, KH, KW) as (OC, KD C, KH, KW)."""
    OC, C, KD, KH, KW = w.shape
    return np.ascontiguousarray(w.swapaxes(1, 2)).reshape(OC, KD * C, KH, KW)


def _without_depth(x: Array) -> Array:
    """(N, C, D, H, W) as (N D, C, H, W), channels-last."""
    N, C, D, H, W = x.shape
    last = x if is_channels_last(x) else to_channels_last(x.reshape(N, C, D * H * W))
    return channels_to_front(channels_to_end(last).reshape(N * D, H, W, C))


def _with_depth(x: Array, N: int, D: int) -> Array:
    """The reverse: (N, C, D, H, W), channels-last."""
    C, H, W = x.shape[1:]
    return channels_to_front(channels_to_end(x).reshape(N, D, H, W, C))


def _laid_like(y: Array, x: Array) -> Array:
    """`y` in x's layout."""
    if is_channels_last(x):
        return y
    return to_planes(y.reshape(*y.shape[:2], math.prod(y.shape[2:]))).reshape(y.shape)


# ---- checks ----

def checked_window(operation: str, rank: int, x: Shaped, w: Shaped, stride: Pair, padding: Pair,
                   dilation: Pair, groups: int, transposed: bool = False) -> WindowND:
    """The window, if it fits x and w."""
    if x.ndim != rank + 2 or w.ndim != rank + 2:
        kernels = f"K{_AXES[rank].replace(', ', ', K')}"
        order = f"(C, OC/groups, {kernels})" if transposed else f"(OC, C/groups, {kernels})"
        raise ShapeError(f"{operation}: x (N, C, {_AXES[rank]}) and weight {order} must have "
                         f"{rank + 2} dimensions, got x {x.shape}, weight {w.shape}")
    window = WindowND(integers(operation, "stride", stride, 1, rank),
                      integers(operation, "padding", padding, 0, rank),
                      integers(operation, "dilation", dilation, 1, rank), groups)
    if not isinstance(groups, int | np.integer) or groups < 1:
        raise ArgumentError(f"{operation}: groups must be at least 1, got {groups!r}")
    channels = w.shape[0] if transposed else w.shape[1] * groups
    if x.shape[1] != channels:
        raise ShapeError(f"{operation}: weight expects {channels} input channels "
                         f"(groups={groups}), x has {x.shape[1]}: x {x.shape}, weight {w.shape}")
    if 0 in w.shape or w.shape[0] % groups:
        raise ShapeError(f"{operation}: weight {w.shape} does not divide into {groups} groups")
    return window


def _transposed_output(operation: str, x: Shaped, w: Shaped, window: WindowND,
                       output_padding: Pair) -> tuple[int, ...]:
    """Shape of the result of a transposed convolution."""
    extra = integers(operation, "output_padding", output_padding, 0, x.ndim - 2)
    if any(e >= s for e, s in zip(extra, window.stride, strict=True)):
        raise ArgumentError(f"{operation}: output_padding must be smaller than the stride "
                            f"{window.stride}, got {output_padding!r}")
    spatial = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in zip(
        x.shape[2:], w.shape[2:], window.stride, window.padding, window.dilation, extra,
        strict=True))
    if min(spatial) < 1:
        raise ShapeError(f"{operation}: the output would be {spatial}: x {x.shape}, weight "
                         f"{w.shape}, padding {window.padding}")
    return (x.shape[0], w.shape[1] * window.groups, *spatial)


def _ready(operation: str, x: Any, w: Any, b: Any, outputs: Callable[[Array], int]) -> list[Any]:
    x, w, b = common(operation, {"x": is_channels_last}, x=x, weight=w, bias=b)
    if b is not None:
        expect_shape(operation, "bias", b, (outputs(w),), "one for each output channel")
    return [x, w, b]


# ---- the operations ----

def conv(rank: int, x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0,
         dilation: Pair = 1, groups: int = 1, *, backend: str | None = None) -> Array:
    """Convolution of `rank` spatial dimensions; see `conv3d`."""
    name = f"conv{rank}d"
    x, w, b = _ready(name, x, w, b, len)
    window = checked_window(name, rank, x, w, stride, padding, dilation, groups)
    window_output(name, x.shape[2:], w.shape[2:], *window[:3])          # raises where none fits
    return _forward(x, w, b, window, backend)


def conv_backward(rank: int, dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                  dilation: Pair = 1, groups: int = 1, *, bias: bool = True, need_dx: bool = True,
                  backend: str | None = None) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv`; see `conv3d_backward`."""
    name = f"conv{rank}d_backward"
    x, w, _ = _ready(name, x, w, None, len)
    window = checked_window(name, rank, x, w, stride, padding, dilation, groups)
    output = window_output(name, x.shape[2:], w.shape[2:], *window[:3])
    dy = maps_like(name, "dy", dy, x, "x")
    expect_shape(name, "dy", dy, (x.shape[0], w.shape[0], *output), "the shape of the output")
    dw, db = _weight_gradient(dy, x, w, window, bias, backend)
    dx = _input_gradient(dy, w, None, x.shape, window, backend) if need_dx else None
    return dx, dw, db


def conv_transpose(rank: int, x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0,
                   output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                   backend: str | None = None) -> Array:
    """Transposed convolution of `rank` spatial dimensions; see `conv_transpose2d`."""
    name = f"conv_transpose{rank}d"
    x, w, b = _ready(name, x, w, b, lambda w: w.shape[1] * groups)
    window = checked_window(name, rank, x, w, stride, padding, dilation, groups, transposed=True)
    shape = _transposed_output(name, x, w, window, output_padding)
    return _input_gradient(x, w, b, shape, window, backend)


def conv_transpose_backward(rank: int, dy: Any, x: Any, w: Any, stride: Pair = 1,
                            padding: Pair = 0, output_padding: Pair = 0, groups: int = 1,
                            dilation: Pair = 1, *, bias: bool = True, need_dx: bool = True,
                            backend: str | None = None
                            ) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv_transpose`; see `conv_transpose2d_backward`."""
    name = f"conv_transpose{rank}d_backward"
    x, w, _ = _ready(name, x, w, None, len)
    window = checked_window(name, rank, x, w, stride, padding, dilation, groups, transposed=True)
    shape = _transposed_output(name, x, w, window, output_padding)
    dy = maps_like(name, "dy", dy, x, "x")
    expect_shape(name, "dy", dy, shape, "the shape of the output")
    dw, _ = _weight_gradient(x, dy, w, window, False, backend)
    db = dy.sum(axis=(0, *range(2, dy.ndim))) if bias else None
    dx = _forward(dy, w, None, window, backend) if need_dx else None
    return dx, dw, db


def conv1d(x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
           groups: int = 1, *, backend: str | None = None) -> Array:
    """Cross-correlate rows `x` (N, C, L) with the filters `w` (OC, C / groups, KL).

    Everything else is as in `conv3d`.

    >>> conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]))
    array([[[1., 2.]]])
    """
    return conv(1, x, w, b, stride, padding, dilation, groups, backend=backend)


def conv1d_backward(dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                    dilation: Pair = 1, groups: int = 1, *, bias: bool = True,
                    need_dx: bool = True,
                    backend: str | None = None) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv1d`; see `conv3d_backward`."""
    return conv_backward(1, dy, x, w, stride, padding, dilation, groups, bias=bias,
                         need_dx=need_dx, backend=backend)


def conv3d(x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
           groups: int = 1, *, backend: str | None = None) -> Array:
    """Cross-correlate volumes `x` with the filters `w` (Tran et al., 2015).

    Parameters
    ----------
    x : (N, C, D, H, W), in memory as its shape says or channels-last
    w : (OC, C / groups, KD, KH, KW)
    b : (OC,), optional
    stride, padding, dilation : an integer, or (depth, height, width); padding is zeros
    groups : channels are split into this many independent convolutions

    Returns
    -------
    (N, OC, OD, OH, OW), of x's layout

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        before any kernel runs

    >>> conv3d(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2)), np.array([0.5])).ravel()
    array([8.5])
    """
    return conv(3, x, w, b, stride, padding, dilation, groups, backend=backend)


def conv3d_backward(dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                    dilation: Pair = 1, groups: int = 1, *, bias: bool = True,
                    need_dx: bool = True,
                    backend: str | None = None) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv3d`.

    Parameters
    ----------
    dy : gradient of the output
    x, w, stride, padding, dilation, groups : as they were in `conv3d`
    bias, need_dx : False leaves ``db`` or ``dx`` out (None)

    Returns
    -------
    dx, dw, db : of the shapes of x, w and b
    """
    return conv_backward(3, dy, x, w, stride, padding, dilation, groups, bias=bias,
                         need_dx=need_dx, backend=backend)


def conv_transpose1d(x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0,
                     output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                     backend: str | None = None) -> Array:
    """Transposed convolution of rows `x` (N, C, L), `w` (C, OC / groups, KL).

    Everything else is as in `conv_transpose2d`.
    """
    return conv_transpose(1, x, w, b, stride, padding, output_padding, groups, dilation,
                          backend=backend)


def conv_transpose1d_backward(dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                              output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                              bias: bool = True, need_dx: bool = True,
                              backend: str | None = None
                              ) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv_transpose1d`; see `conv_transpose2d_backward`."""
    return conv_transpose_backward(1, dy, x, w, stride, padding, output_padding, groups, dilation,
                                   bias=bias, need_dx=need_dx, backend=backend)


def conv_transpose2d(x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0,
                     output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                     backend: str | None = None) -> Array:
    """Transposed convolution: each value of `x` spreads the filters `w` (Zeiler et al., 2010).

    It is what a convolution with `w` does to its gradient on the way back.

    Parameters
    ----------
    x : (N, C, H, W), in memory as its shape says or channels-last
    w : (C, OC / groups, KH, KW)
    b : (OC,), optional
    stride, padding, dilation : of that convolution: an integer, or (height, width)
    output_padding : rows and columns more at the end, fewer than the stride
    groups : channels are split into this many independent convolutions

    Returns
    -------
    (N, OC, OH, OW), of x's layout, with
    ``OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1``, OW alike

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        before any kernel runs

    >>> conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 2)), stride=(1, 2))
    array([[[[1., 1., 2., 2.]]]])
    """
    return conv_transpose(2, x, w, b, stride, padding, output_padding, groups, dilation,
                          backend=backend)


def conv_transpose2d_backward(dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                              output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                              bias: bool = True, need_dx: bool = True,
                              backend: str | None = None
                              ) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv_transpose2d`.

    Parameters
    ----------
    dy : gradient of the output
    x, w, stride, padding, output_padding, groups, dilation : as they were in `conv_transpose2d`
    bias, need_dx : False leaves ``db`` or ``dx`` out (None)

    Returns
    -------
    dx, dw, db : of the shapes of x, w and b
    """
    return conv_transpose_backward(2, dy, x, w, stride, padding, output_padding, groups, dilation,
                                   bias=bias, need_dx=need_dx, backend=backend)


def conv_transpose3d(x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0,
                     output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                     backend: str | None = None) -> Array:
    """Transposed convolution of volumes `x` (N, C, D, H, W), `w` (C, OC / groups, KD, KH, KW).

    Everything else is as in `conv_transpose2d`.
    """
    return conv_transpose(3, x, w, b, stride, padding, output_padding, groups, dilation,
                          backend=backend)


def conv_transpose3d_backward(dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                              output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1, *,
                              bias: bool = True, need_dx: bool = True,
                              backend: str | None = None
                              ) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv_transpose3d`; see `conv_transpose2d_backward`."""
    return conv_transpose_backward(3, dy, x, w, stride, padding, output_padding, groups, dilation,
                                   bias=bias, need_dx=need_dx, backend=backend)
