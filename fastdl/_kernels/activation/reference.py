"""Activation functions, elementwise on arrays of any shape; softmax on rows.

Backward functions read what the forward pass already holds: the output ``y`` where the derivative
can be had from it (ReLU, ReLU6, sigmoid, tanh, softmax), else the input ``x``. NaN passes through.
"""

import numpy as np


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


def sigmoid(x, y):
    """Fill ``y = 1 / (1 + exp(-x))``; no overflow at either end."""
    e = np.exp(-np.abs(x))
    y[...] = np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_backward(dy, y, dx):
    """Fill ``dx = dy * y * (1 - y)``."""
    dx[...] = dy * y * (1 - y)


def tanh(x, y):
    """Fill ``y = tanh(x)``."""
    np.tanh(x, out=y)


def tanh_backward(dy, y, dx):
    """Fill ``dx = dy * (1 - y * y)``."""
    dx[...] = dy * (1 - y * y)


def softmax(x, y):
    """Fill ``y = exp(x) / sum(exp(x))`` for each row of `x` (rows, columns).

    The row's maximum is subtracted first, so nothing overflows.
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y[...] = e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, y, dx):
    """Fill ``dx = y * (dy - sum(dy * y))`` for each row."""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))
