"""Activations in Numba: one pass over the memory and no temporary arrays.

The elementwise functions see any array as one row and are parallel over its elements; softmax is
parallel over rows, and goes over a row while it is in the cache: maximum, exponentials and their
sum, quotients. Constants are made of the array's dtype, or float32 would be computed in float64.
"""

import math

import numpy as np
from numba import prange

from .._numba_jit import (
    add_products,
    const,
    const_flat,
    fold,
    helper,
    new_lanes,
    parallel,
    total,
)


@parallel
def _relu(x, y):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = zero if x[i] <= zero else x[i]           # in this order NaN passes


def relu(x, y):
    _relu(const_flat(x), y.reshape(-1))


@parallel
def _relu_backward(dy, y, dx):
    zero = dy.dtype.type(0)
    for i in prange(dy.size):
        dx[i] = zero if y[i] <= zero else dy[i]


def relu_backward(dy, y, dx):
    _relu_backward(const_flat(dy), const_flat(y), dx.reshape(-1))


@parallel
def _relu6(x, y):
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for i in prange(x.size):
        y[i] = zero if x[i] <= zero else six if x[i] >= six else x[i]


def relu6(x, y):
    _relu6(const_flat(x), y.reshape(-1))


@parallel
def _relu6_backward(dy, y, dx):
    zero, six = dy.dtype.type(0), dy.dtype.type(6)
    for i in prange(dy.size):
        dx[i] = zero if y[i] <= zero or y[i] >= six else dy[i]


def relu6_backward(dy, y, dx):
    _relu6_backward(const_flat(dy), const_flat(y), dx.reshape(-1))


@parallel
def _leaky_relu_backward(dy, x, dx, negative_slope):
    zero = dy.dtype.type(0)
    for i in prange(dy.size):
        dx[i] = dy[i] if x[i] > zero else dy[i] * negative_slope


def leaky_relu(x, y, negative_slope):
    # The function is linear on either side: its own "gradient" times x.
    leaky_relu_backward(x, x, y, negative_slope)


def leaky_relu_backward(dy, x, dx, negative_slope):
    _leaky_relu_backward(const_flat(dy), const_flat(x), dx.reshape(-1),
                         dx.dtype.type(negative_slope))


@helper
def _logistic(x):
    e = np.exp(-abs(x))
    one = type(e)(1)
    return (one if x >= 0 else e) / (one + e)


@parallel
def _sigmoid(x, y):
    for i in prange(x.size):
        y[i] = _logistic(x[i])


def sigmoid(x, y):
    _sigmoid(const_flat(x), y.reshape(-1))


@parallel
def _sigmoid_backward(dy, y, dx):
    one = dy.dtype.type(1)
    for i in prange(dy.size):
        dx[i] = dy[i] * y[i] * (one - y[i])


def sigmoid_backward(dy, y, dx):
    _sigmoid_backward(const_flat(dy), const_flat(y), dx.reshape(-1))


@parallel
def _tanh(x, y):
    for i in prange(x.size):
        y[i] = np.tanh(x[i])


def tanh(x, y):
    _tanh(const_flat(x), y.reshape(-1))


@parallel
def _tanh_backward(dy, y, dx):
    one = dy.dtype.type(1)
    for i in prange(dy.size):
        dx[i] = dy[i] * (one - y[i] * y[i])


def tanh_backward(dy, y, dx):
    _tanh_backward(const_flat(dy), const_flat(y), dx.reshape(-1))


@parallel
def _silu(x, y):
    for i in prange(x.size):
        y[i] = x[i] * _logistic(x[i])


def silu(x, y):
    _silu(const_flat(x), y.reshape(-1))


@parallel
def _silu_backward(dy, x, dx):
    one = dy.dtype.type(1)
    for i in prange(dy.size):
        s = _logistic(x[i])
        dx[i] = dy[i] * (s * (one + x[i] * (one - s)))


def silu_backward(dy, x, dx):
    _silu_backward(const_flat(dy), const_flat(x), dx.reshape(-1))


@helper
def _ramp(x):
    """From 0 at -3 to 1 at 3."""
    zero, three, six = type(x)(0), type(x)(3), type(x)(6)
    above = x + three
    return (zero if above <= zero else six if above >= six else above) / six


@parallel
def _hardsigmoid(x, y):
    for i in prange(x.size):
        y[i] = _ramp(x[i])


def hardsigmoid(x, y):
    _hardsigmoid(const_flat(x), y.reshape(-1))


@parallel
def _hardsigmoid_backward(dy, y, dx):
    zero, one, six = dy.dtype.type(0), dy.dtype.type(1), dy.dtype.type(6)
    for i in prange(dy.size):
        dx[i] = zero if y[i] <= zero or y[i] >= one else dy[i] / six


def hardsigmoid_backward(dy, y, dx):
    _hardsigmoid_backward(const_flat(dy), const_flat(y), dx.reshape(-1))


@parallel
def _hardswish(x, y):
    for i in prange(x.size):
        y[i] = x[i] * _ramp(x[i])


def hardswish(x, y):
    _hardswish(const_flat(x), y.reshape(-1))


@parallel
def _hardswish_backward(dy, x, dx):
    zero, half, one = dy.dtype.type(0), dy.dtype.type(0.5), dy.dtype.type(1)
    three = dy.dtype.type(3)
    for i in prange(dy.size):
        slope = one if x[i] >= three else x[i] / three + half
        dx[i] = dy[i] * (zero if x[i] <= -three else slope)


def hardswish_backward(dy, x, dx):
    _hardswish_backward(const_flat(dy), const_flat(x), dx.reshape(-1))


@helper
def _normal(x):
    """The normal distribution function, and its density."""
    half, root = type(x)(0.5), type(x)(0.7071067811865476)
    bell = np.exp(-half * x * x)
    return half * math.erfc(-x * root), bell * type(x)(0.3989422804014327)


@parallel
def _gelu(x, y):
    for i in prange(x.size):
        y[i] = x[i] * _normal(x[i])[0]


def gelu(x, y):
    _gelu(const_flat(x), y.reshape(-1))


@parallel
def _gelu_backward(dy, x, dx):
    for i in prange(dy.size):
        distribution, density = _normal(x[i])
        dx[i] = dy[i] * (distribution + x[i] * density)


def gelu_backward(dy, x, dx):
    _gelu_backward(const_flat(dy), const_flat(x), dx.reshape(-1))


@helper
def _bend(x):
    """What the approximation takes the logistic function of, and its derivative."""
    scale, one, square = type(x)(1.5957691216057308), type(x)(1), x * x
    return (scale * x * (one + type(x)(0.044715) * square),
            scale * (one + type(x)(0.134145) * square))


@parallel
def _gelu_tanh(x, y):
    for i in prange(x.size):
        y[i] = x[i] * _logistic(_bend(x[i])[0])


def gelu_tanh(x, y):
    _gelu_tanh(const_flat(x), y.reshape(-1))


@parallel
def _gelu_tanh_backward(dy, x, dx):
    one = dy.dtype.type(1)
    for i in prange(dy.size):
        bend, slope = _bend(x[i])
        s = _logistic(bend)
        dx[i] = dy[i] * (s * (one + x[i] * (one - s) * slope))


def gelu_tanh_backward(dy, x, dx):
    _gelu_tanh_backward(const_flat(dy), const_flat(x), dx.reshape(-1))


@helper
def exp_row(x, e):
    """Fill ``e = exp(x - max(x))``; return the maximum and the sum of `e`."""
    largest = x.dtype.type(-np.inf)
    for j in range(x.size):
        largest = x[j] if x[j] > largest else largest
    for j in range(x.size):
        e[j] = np.exp(x[j] - largest)
    return largest, total(e)


@parallel
def _softmax(x, y):
    for i in prange(x.shape[0]):
        row = y[i]
        _, denominator = exp_row(x[i], row)
        for j in range(row.size):
            row[j] /= denominator


def softmax(x, y):
    _softmax(const(x), y)


@parallel
def _softmax_backward(dy, y, dx):
    zero = dy.dtype.type(0)
    for i in prange(dy.shape[0]):
        dy_row, y_row, dx_row = dy[i], y[i], dx[i]
        lanes = new_lanes(1, dy_row.size, dy.dtype)[0]
        add_products(lanes, dy_row, y_row, zero, zero)
        inner = fold(lanes)
        for j in range(dx_row.size):
            dx_row[j] = y_row[j] * (dy_row[j] - inner)


def softmax_backward(dy, y, dx):
    _softmax_backward(const(dy), const(y), dx)
