"""Activation functions, elementwise on arrays of any shape; softmax on rows.

Backward functions read what the forward pass already holds: the output ``y`` where the derivative
can be had from it (ReLU, ReLU6, sigmoid, hard sigmoid, tanh, softmax), else the input ``x``. NaN
passes through.
"""

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])         # NumPy has none


def relu(x, y):
    """Fill ``y = max(x, 0)``."""
    np.maximum(x, 0, out=y)


def relu_backward(dy, y, dx):
    """Fill ``dx = dy`` where the output is above 0, else 0."""
    dx[...] = np.where(y <= 0, dy.dtype.type(0), dy)


def relu6(x, y):
    """Fill ``y = min(max(x, 0), 6)``."""
    np.clip(x, 0, 6, out=y)


def relu6_backward(dy, y, dx):
    """Fill ``dx = dy`` where the output is above 0 and below 6, else 0."""
    dx[...] = np.where((y <= 0) | (y >= 6), dy.dtype.type(0), dy)


def leaky_relu(x, y, negative_slope):
    """Fill ``y = x`` above 0, else ``negative_slope * x``."""
    y[...] = np.where(x > 0, x, x * x.dtype.type(negative_slope))


def leaky_relu_backward(dy, x, dx, negative_slope):
    """Fill ``dx``."""
    dx[...] = np.where(x > 0, dy, dy * dy.dtype.type(negative_slope))


def _logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid(x, y):
    """Fill ``y = 1 / (1 + exp(-x))``; no overflow at either end."""
    y[...] = _logistic(x)


def sigmoid_backward(dy, y, dx):
    """Fill ``dx = dy * y * (1 - y)``."""
    dx[...] = dy * y * (1 - y)


def tanh(x, y):
    """Fill ``y = tanh(x)``."""
    np.tanh(x, out=y)


def tanh_backward(dy, y, dx):
    """Fill ``dx = dy * (1 - y * y)``."""
    dx[...] = dy * (1 - y * y)


def silu(x, y):
    """Fill ``y = x * sigmoid(x)``."""
    y[...] = x * _logistic(x)


def silu_backward(dy, x, dx):
    """Fill ``dx = dy * s * (1 + x * (1 - s))`` with ``s = sigmoid(x)``."""
    s = _logistic(x)
    dx[...] = dy * (s * (1 + x * (1 - s)))


def hardsigmoid(x, y):
    """Fill ``y = min(max(x + 3, 0), 6) / 6``."""
    y[...] = np.clip(x + 3, 0, 6) / 6


def hardsigmoid_backward(dy, y, dx):
    """Fill ``dx = dy / 6`` where the output is above 0 and below 1, else 0."""
    dx[...] = np.where((y <= 0) | (y >= 1), dy.dtype.type(0), dy / 6)


def hardswish(x, y):
    """Fill ``y = x * min(max(x + 3, 0), 6) / 6``."""
    y[...] = x * (np.clip(x + 3, 0, 6) / 6)


def hardswish_backward(dy, x, dx):
    """Fill ``dx``: 0 up to -3, ``dy`` from 3 on, ``dy * (x / 3 + 1 / 2)`` between."""
    slope = np.where(x >= 3, x.dtype.type(1), x / 3 + x.dtype.type(0.5))
    dx[...] = dy * np.where(x <= -3, x.dtype.type(0), slope)


def _normal(x):
    """The normal distribution function, and its density."""
    bell = np.exp(-0.5 * np.square(x, dtype=np.float64))
    return _erfc(-x * math.sqrt(0.5)) / 2, bell / math.sqrt(2 * math.pi)


def gelu(x, y):
    """Fill ``y = x * Phi(x)``, Phi being the normal distribution function."""
    y[...] = x * _normal(x)[0]


def gelu_backward(dy, x, dx):
    """Fill ``dx = dy * (Phi(x) + x * Phi'(x))``."""
    distribution, density = _normal(x)
    dx[...] = dy * (distribution + x * density)


def _bend(x):
    """What the approximation takes the logistic function of, and its derivative."""
    scale, square = math.sqrt(8 / math.pi), np.square(x, dtype=np.float64)
    return scale * x * (1 + 0.044715 * square), scale * (1 + 3 * 0.044715 * square)


def gelu_tanh(x, y):
    """Fill ``y = x * sigmoid(sqrt(8 / pi) * (x + 0.044715 * x ** 3))``: nearly `gelu`.

    That is ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))``.
    """
    y[...] = x * _logistic(_bend(x)[0])


def gelu_tanh_backward(dy, x, dx):
    """Fill ``dx``."""
    bend, slope = _bend(x)
    s = _logistic(bend)
    dx[...] = dy * (s * (1 + x * (1 - s) * slope))


def softmax(x, y):
    """Fill ``y = exp(x) / sum(exp(x))`` for each row of `x` (rows, columns).

    The row's maximum is subtracted first, so nothing overflows.
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y[...] = e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, y, dx):
    """Fill ``dx = y * (dy - sum(dy * y))`` for each row."""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))
