"""Two-dimensional convolution and its gradients."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..backend import get_conv_algorithm, known_conv_algorithm
from ..errors import ArgumentError, ShapeError
from . import _im2col_conv
from ._arrays import (
    Array,
    Pair,
    Shaped,
    common,
    empty,
    empty_maps,
    expect_shape,
    is_channels_last,
    kernel,
    maps_like,
    on_device,
    pair,
    real_like,
    wanted,
    window_output,
)
from .layout import to_channels_last

_MAPS = {"x": is_channels_last}


class Window(NamedTuple):
    """What kernels take after the arrays, checked."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def checked(operation: str, x: Shaped, w: Shaped, stride: Pair, padding: Pair, dilation: Pair,
            groups: int) -> tuple[Window, tuple[int, ...]]:
    """The window, and the shape of the output."""
    if x.ndim != 4 or w.ndim != 4:
        raise ShapeError(f"{operation}: x (N, C, H, W) and weight (OC, C/groups, KH, KW) must "
                         f"have 4 dimensions, got x {x.shape}, weight {w.shape}")
    window = Window(pair(operation, "stride", stride, 1), pair(operation, "padding", padding, 0),
                     pair(operation, "dilation", dilation, 1), groups)
    if not isinstance(groups, int | np.integer) or groups < 1:
        raise ArgumentError(f"{operation}: groups must be at least 1, got {groups!r}")
    if x.shape[1] != w.shape[1] * groups:
        raise ShapeError(f"{operation}: weight expects {w.shape[1] * groups} input channels "
                         f"(groups={groups}), x has {x.shape[1]}: x {x.shape}, weight {w.shape}")
    if w.shape[0] % groups:
        raise ShapeError(f"{operation}: {w.shape[0]} output channels do not divide into "
                         f"{groups} groups: weight {w.shape}")
    if 0 in w.shape:
        raise ShapeError(f"{operation}: weight {w.shape} is empty")
    output = window_output(operation, x.shape[2:], w.shape[2:], *window[:3])
    return window, (x.shape[0], w.shape[0], *output)


def conv_algorithm(operation: str, asked: str | None, x: Shaped, w: Shaped, window: Window) -> str:
    """The algorithm to run: the one of this call, or else the one set for all."""
    name = get_conv_algorithm() if asked is None else known_conv_algorithm(operation, asked)
    if name != "winograd":
        return name
    if w.shape[2:] not in ((3, 3), (5, 5)) or window.stride != (1, 1) or window.dilation != (1, 1):
        if asked is not None:
            raise ArgumentError(f"{operation}: algorithm 'winograd' is for 3x3 and 5x5 filters "
                                f"with stride 1 and dilation 1, got weight {w.shape}, "
                                f"stride {window.stride}, dilation {window.dilation}")
        return "direct"
    return "winograd" if x.dtype == np.float32 else "direct"


def conv_kernel(name: str, x: Array, algorithm: str, backend: str | None) -> Callable[..., None]:
    """The kernel `name`, or what stands for it where im2col was asked for."""
    function = kernel(name, x, backend)
    if algorithm != "im2col":
        return function
    # The parts run where the convolution would have.
    chosen, _ = wanted("conv2d", backend)
    return partial(getattr(_im2col_conv, name), lambda part: kernel(part, x, chosen))


def conv_method(name: str, x: Shaped, w: Shaped, y: Shaped, window: Window, algorithm: str,
                channels_last: bool) -> str:
    """The way that the kernel `name` takes, in words; nothing where its backend has but one."""
    if algorithm == "im2col":
        return algorithm
    module = sys.modules[kernel(name, np.empty(0, x.dtype)).__module__]
    tell = getattr(module, "method_of", None)
    return "" if tell is None else tell(name, x.shape, w.shape, y.shape, window, channels_last,
                                        x.dtype == np.float64, algorithm)


def conv2d(x: Any, w: Any, b: Any = None, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
           groups: int = 1, *, residual: Any = None, relu: bool = False,
           channels_last: bool = False, algorithm: str | None = None,
           backend: str | None = None) -> Array:
    """Cross-correlate `x` with the filters `w` (LeCun et al., 1989).

    Parameters
    ----------
    x : (N, C, H, W), in memory as its shape says or channels-last
    w : (OC, C / groups, KH, KW)
    b : (OC,), optional
    stride, padding, dilation : an integer, or (height, width); padding is zeros
    groups : channels are split into this many independent convolutions; C for depthwise
    residual : (N, OC, OH, OW), optional: added to the output
    relu : whether negative outputs then become 0
    channels_last : whether maps are brought to that layout, which kernels are fastest in; not on
        the device
    algorithm : "auto", "direct", "winograd" or "im2col"; see `fastdl.set_conv_algorithm`, whose
        choice holds if this is None

    Returns
    -------
    (N, OC, OH, OW) with ``OH = (H + 2 PH - DH (KH - 1) - 1) // SH + 1``, OW alike; of x's layout
    unless `channels_last`

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        before any kernel runs

    >>> x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> conv2d(x, w, np.array([0.5]))
    array([[[[4.5, 4.5],
             [4.5, 4.5]]]])
    """
    x, w, b = common("conv2d", _MAPS, x=x, weight=w, bias=b)
    window, shape = checked("conv2d", x, w, stride, padding, dilation, groups)
    if channels_last and on_device(x):
        raise ArgumentError("conv2d: channels_last is for arrays of the host; x is on the device")
    if b is not None:
        expect_shape("conv2d", "bias", b, (w.shape[0],), "one for each output channel")
    if residual is not None:
        residual = maps_like("conv2d", "residual", residual, x, "x")
        expect_shape("conv2d", "residual", residual, shape, "the shape of the output")
    if channels_last:
        x = to_channels_last(x)
        residual = None if residual is None else to_channels_last(residual)
    algorithm = conv_algorithm("conv2d", algorithm, x, w, window)
    y = empty_maps(shape, x, channels_last=channels_last)
    run = conv_kernel("conv2d", x, algorithm, backend)
    run(x, w, b, residual, y, *window, bool(relu), algorithm)
    return y


def conv2d_backward(dy: Any, x: Any, w: Any, stride: Pair = 1, padding: Pair = 0,
                    dilation: Pair = 1, groups: int = 1, *, bias: bool = True,
                    need_dx: bool = True, algorithm: str | None = None,
                    backend: str | None = None) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `conv2d`.

    Parameters
    ----------
    dy : (N, OC, OH, OW), gradient of the output
    x, w, stride, padding, dilation, groups : as they were in `conv2d`
    bias, need_dx : False leaves ``db`` or ``dx`` out (None)
    algorithm : as in `conv2d`, but need not be the same

    Returns
    -------
    dx, dw, db : of the shapes of x, w and b; dx is of x's layout
    """
    name = "conv2d_backward"
    x, w = common(name, _MAPS, x=x, weight=w)
    window, shape = checked(name, x, w, stride, padding, dilation, groups)
    if x.shape[1] == 1:             # which lies both ways
        dy = real_like(name, "dy", dy, x, "x", is_channels_last)
    else:
        dy = maps_like(name, "dy", dy, x, "x")
    expect_shape(name, "dy", dy, shape, "the shape of the output")
    algorithm = conv_algorithm(name, algorithm, x, w, window)
    dw, db = weight_gradient(dy, x, w.shape, window, bias, algorithm, backend)
    dx = None
    if need_dx:
        dx = empty_maps(x.shape, x)
        input_gradient(dy, w, None, dx, window, algorithm, backend)
    return dx, dw, db


def weight_gradient(dy: Array, x: Array, w_shape: tuple[int, ...], window: Window, bias: bool,
                    algorithm: str, backend: str | None) -> tuple[Array, Array | None]:
    """Gradients of weight and bias, of arrays that are ready for the kernel."""
    dw = empty(w_shape, x.dtype, x)
    db = empty(w_shape[:1], x.dtype, x) if bias else None
    conv_kernel("conv2d_backward_weight", x, algorithm, backend)(dy, x, dw, db, *window, algorithm)
    return dw, db


def input_gradient(dy: Array, w: Array, start: Array | None, dx: Array, window: Window,
                   algorithm: str, backend: str | None) -> None:
    """Fill `dx`, added to what `start` holds; it may be `dx` itself."""
    run = conv_kernel("conv2d_backward_input", dy, algorithm, backend)
    run(dy, w, start, None, dx, *window, algorithm)
