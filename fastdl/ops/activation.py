"""Activation functions and their gradients, elementwise; softmax along an axis.

A result of the elementwise ones has the memory layout of its input, if that is dense.
"""

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, empty, expect_shape, is_ready, kernel, on_device, real, real_like


def _memory_order(x: Any) -> list[int] | None:
    """The order of axes in which dense `x` lies in memory, if it is another than theirs.

    Elementwise functions work in that order, so that nothing is copied.
    """
    if not isinstance(x, np.ndarray) or x.flags.c_contiguous:
        return None
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return order if x.transpose(order).flags.c_contiguous else None


def _forward(name: str, x: Any, backend: str | None, *options: float) -> Array:
    order = _memory_order(x)
    if order is not None:
        return _forward(name, x.transpose(order), backend, *options).transpose(np.argsort(order))
    x = real(name, "x", x)
    y = empty(x.shape, x.dtype, x)
    kernel(name, x, backend)(x, y, *options)
    return y


def _backward(name: str, dy: Any, saved: Any, saved_name: str, backend: str | None,
              *options: float, out: Array | None = None) -> Array:
    operation = f"{name}_backward"
    dy, saved = (a if on_device(a) else np.asarray(a) for a in (dy, saved))
    expect_shape(operation, "dy", dy, saved.shape, f"the shape of {saved_name}")
    order = _memory_order(saved)
    if order is not None:
        dx = _backward(name, dy.transpose(order), saved.transpose(order), saved_name, backend,
                       *options, out=None if out is None else out.transpose(order))
        return dx.transpose(np.argsort(order))
    saved = real(operation, saved_name, saved)
    dy = real_like(operation, "dy", dy, saved, saved_name)
    if out is None:
        dx = empty(saved.shape, saved.dtype, saved)
    elif is_ready(out) and out.flags.writeable and (out.shape, out.dtype) == (dy.shape, dy.dtype):
        dx = out
    else:
        raise ArgumentError(f"{operation}: out must be an array to write to, {dy.dtype} {dy.shape} "
                            f"and in memory as {saved_name}")
    kernel(operation, saved, backend)(dy, saved, dx, *options)
    return dx


def relu(x: Any, *, backend: str | None = None) -> Array:
    """Rectifier, ``max(x, 0)`` (Nair & Hinton, 2010).

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _forward("relu", x, backend)


def relu_backward(dy: Any, y: Any, *, out: Array | None = None,
                  backend: str | None = None) -> Array:
    """Gradient of `relu` from its output `y`: ``dy`` where ``y > 0``, else 0.

    It is written to `out` if that is given, which may be `dy`.
    """
    return _backward("relu", dy, y, "y", backend, out=out)


def relu6(x: Any, *, backend: str | None = None) -> Array:
    """Rectifier that stops at 6, ``min(max(x, 0), 6)`` (Krizhevsky, 2010).

    >>> relu6(np.array([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """
    return _forward("relu6", x, backend)


def relu6_backward(dy: Any, y: Any, *, backend: str | None = None) -> Array:
    """Gradient of `relu6` from its output `y`: ``dy`` where ``0 < y < 6``, else 0."""
    return _backward("relu6", dy, y, "y", backend)


def leaky_relu(x: Any, negative_slope: float = 0.01, *, backend: str | None = None) -> Array:
    """``x`` above 0, ``negative_slope * x`` elsewhere (Maas et al., 2013).

    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return _forward("leaky_relu", x, backend, float(negative_slope))


def leaky_relu_backward(dy: Any, x: Any, negative_slope: float = 0.01, *,
                        backend: str | None = None) -> Array:
    """Gradient of `leaky_relu` from its input `x`."""
    return _backward("leaky_relu", dy, x, "x", backend, float(negative_slope))


def sigmoid(x: Any, *, backend: str | None = None) -> Array:
    """Logistic function, ``1 / (1 + exp(-x))``.

    >>> sigmoid(np.array([0.0]))
    array([0.5])
    """
    return _forward("sigmoid", x, backend)


def sigmoid_backward(dy: Any, y: Any, *, backend: str | None = None) -> Array:
    """Gradient of `sigmoid` from its output: ``dy * y * (1 - y)``."""
    return _backward("sigmoid", dy, y, "y", backend)


def tanh(x: Any, *, backend: str | None = None) -> Array:
    """Hyperbolic tangent.

    >>> tanh(np.array([0.0]))
    array([0.])
    """
    return _forward("tanh", x, backend)


def tanh_backward(dy: Any, y: Any, *, backend: str | None = None) -> Array:
    """Gradient of `tanh` from its output: ``dy * (1 - y * y)``."""
    return _backward("tanh", dy, y, "y", backend)


def silu(x: Any, *, backend: str | None = None) -> Array:
    """Sigmoid-weighted linear unit or swish, ``x * sigmoid(x)`` (Ramachandran et al., 2017).

    >>> silu(np.array([0.0, np.log(3.0)])).round(4)
    array([0.   , 0.824])
    """
    return _forward("silu", x, backend)


def silu_backward(dy: Any, x: Any, *, backend: str | None = None) -> Array:
    """Gradient of `silu` from its input `x`."""
    return _backward("silu", dy, x, "x", backend)


def hardsigmoid(x: Any, *, backend: str | None = None) -> Array:
    """Sigmoid of straight lines, ``min(max(x + 3, 0), 6) / 6`` (Howard et al., 2019).

    >>> hardsigmoid(np.array([-4.0, 0.0, 3.0]))
    array([0. , 0.5, 1. ])
    """
    return _forward("hardsigmoid", x, backend)


def hardsigmoid_backward(dy: Any, y: Any, *, backend: str | None = None) -> Array:
    """Gradient of `hardsigmoid` from its output `y`: ``dy / 6`` where ``0 < y < 1``, else 0."""
    return _backward("hardsigmoid", dy, y, "y", backend)


def hardswish(x: Any, *, backend: str | None = None) -> Array:
    """Swish of straight lines, ``x * hardsigmoid(x)`` (Howard et al., 2019).

    >>> hardswish(np.array([-4.0, 1.5, 3.0]))
    array([-0.   ,  1.125,  3.   ])
    """
    return _forward("hardswish", x, backend)


def hardswish_backward(dy: Any, x: Any, *, backend: str | None = None) -> Array:
    """Gradient of `hardswish` from its input `x`."""
    return _backward("hardswish", dy, x, "x", backend)


def _gelu(approximate: str) -> str:
    """The kernel of that approximation."""
    try:
        return {"none": "gelu", "tanh": "gelu_tanh"}[approximate]
    except (KeyError, TypeError):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got "
                            f"{approximate!r}") from None


def gelu(x: Any, approximate: str = "none", *, backend: str | None = None) -> Array:
    """Gaussian error linear unit, ``x * Phi(x)`` (Hendrycks & Gimpel, 2016).

    Phi is the distribution function of the normal distribution.

    Parameters
    ----------
    x : of any shape
    approximate : "tanh" for ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))``

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    return _forward(_gelu(approximate), x, backend)


def gelu_backward(dy: Any, x: Any, approximate: str = "none", *,
                  backend: str | None = None) -> Array:
    """Gradient of `gelu` from its input `x`."""
    return _backward(_gelu(approximate), dy, x, "x", backend)


def _along_last(operation: str, x: Array, axis: int) -> tuple[Array, Any]:
    """`x` as rows along `axis`, and a function that brings such rows back to x's shape."""
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim or x.shape[axis] == 0:
        raise ShapeError(f"{operation}: x {x.shape} has no axis {axis} to run along")
    if axis in (-1, x.ndim - 1):
        return x.reshape(-1, x.shape[axis]), lambda result: result.reshape(x.shape)
    if on_device(x):
        raise ShapeError(f"{operation}: on the device it runs along the last axis alone, got axis "
                         f"{axis} of x {x.shape}")
    moved = np.moveaxis(x, axis, -1)
    rows = np.ascontiguousarray(moved).reshape(-1, x.shape[axis])

    def restore(result: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(result.reshape(moved.shape), -1, axis))

    return rows, restore


def softmax(x: Any, axis: int = -1, *, backend: str | None = None) -> Array:
    """``exp(x) / sum(exp(x))`` along `axis`.

    >>> softmax(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    rows, restore = _along_last("softmax", real("softmax", "x", x), axis)
    y = empty(rows.shape, rows.dtype, rows)
    kernel("softmax", rows, backend)(rows, y)
    return restore(y)


def softmax_backward(dy: Any, y: Any, axis: int = -1, *, backend: str | None = None) -> Array:
    """Gradient of `softmax` from its output: ``y * (dy - sum(dy * y))``."""
    name = "softmax_backward"
    y = real(name, "y", y)
    dy = real_like(name, "dy", dy, y, "y")
    expect_shape(name, "dy", dy, y.shape, "the shape of y")
    (y_rows, restore), (dy_rows, _) = (_along_last(name, a, axis) for a in (y, dy))
    dx = empty(y_rows.shape, y_rows.dtype, y_rows)
    kernel(name, y_rows, backend)(dy_rows, y_rows, dx)
    return restore(dx)
