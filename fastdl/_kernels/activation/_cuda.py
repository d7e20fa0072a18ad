"""Activation functions on the device; reference.py says what they are."""

import math

import numpy as np

from ...cuda import _device
from ...cuda._device import (
    ONE,
    ZERO,
    ByRow,
    cuda,
    divided,
    erfc,
    exp,
    floats,
    int32,
    kernel,
)
from ...cuda._elementwise import elementwise

HALF, THREE, SIX, INFINITY = map(np.float32, (0.5, 3, 6, np.inf))
# Of GELU: of the normal distribution, and of what stands for it.
ROOT_HALF, PEAK = map(np.float32, (math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)))
BEND, CUBIC = map(np.float32, (math.sqrt(8 / math.pi), 0.044715))


@elementwise(1, "relu")
@_device.device
def _relu(x, _):
    return ZERO if x <= ZERO else x


@elementwise(2, "relu_backward")
@_device.device
def _relu_backward(dy, y, _):
    return ZERO if y <= ZERO else dy


@elementwise(1, "relu6")
@_device.device
def _relu6(x, _):
    return ZERO if x <= ZERO else (SIX if x >= SIX else x)


@elementwise(2, "relu6_backward")
@_device.device
def _relu6_backward(dy, y, _):
    return ZERO if y <= ZERO or y >= SIX else dy


@elementwise(1, "leaky_relu")
@_device.device
def _leaky_relu(x, negative_slope):
    return x if x > ZERO else x * negative_slope


@elementwise(2, "leaky_relu_backward")
@_device.device
def _leaky_relu_backward(dy, x, negative_slope):
    return dy if x > ZERO else dy * negative_slope


@_device.device
def _logistic(x):
    e = exp(x if x < ZERO else -x)      # at most 1, at either end
    return (e if x < ZERO else ONE) / (ONE + e)


@elementwise(1, "sigmoid")
@_device.device
def _sigmoid(x, _):
    return _logistic(x)


@elementwise(2, "sigmoid_backward")
@_device.device
def _sigmoid_backward(dy, y, _):
    return dy * y * (ONE - y)


@elementwise(1, "tanh")
@_device.device
def _tanh(x, _):
    return _device.tanh(x)


@elementwise(2, "tanh_backward")
@_device.device
def _tanh_backward(dy, y, _):
    return dy * (ONE - y * y)


@elementwise(1, "silu")
@_device.device
def _silu(x, _):
    return x * _logistic(x)


@elementwise(2, "silu_backward")
@_device.device
def _silu_backward(dy, x, _):
    s = _logistic(x)
    return dy * (s * (ONE + x * (ONE - s)))


@_device.device
def _clipped(x):
    """min(max(x + 3, 0), 6) / 6"""
    shifted = x + THREE
    return (ZERO if shifted <= ZERO else SIX if shifted >= SIX else shifted) / SIX


@elementwise(1, "hardsigmoid")
@_device.device
def _hardsigmoid(x, _):
    return _clipped(x)


@elementwise(2, "hardsigmoid_backward")
@_device.device
def _hardsigmoid_backward(dy, y, _):
    return ZERO if y <= ZERO or y >= ONE else dy / SIX


@elementwise(1, "hardswish")
@_device.device
def _hardswish(x, _):
    return x * _clipped(x)


@elementwise(2, "hardswish_backward")
@_device.device
def _hardswish_backward(dy, x, _):
    slope = ONE if x >= THREE else x / THREE + HALF
    return dy * (ZERO if x <= -THREE else slope)


@elementwise(1, "gelu")
@_device.device
def _gelu(x, _):
    return x * (erfc(-x * ROOT_HALF) * HALF)


@elementwise(2, "gelu_backward")
@_device.device
def _gelu_backward(dy, x, _):
    density = exp(-HALF * x * x) * PEAK
    return dy * (erfc(-x * ROOT_HALF) * HALF + x * density)


@elementwise(1, "gelu_tanh")
@_device.device
def _gelu_tanh(x, _):
    return x * _logistic(BEND * x * (ONE + CUBIC * x * x))


@elementwise(2, "gelu_tanh_backward")
@_device.device
def _gelu_tanh_backward(dy, x, _):
    s = _logistic(BEND * x * (ONE + CUBIC * x * x))
    slope = BEND * (ONE + THREE * CUBIC * x * x)
    return dy * (s * (ONE + x * (ONE - s) * slope))


def silu(x, y):
    _silu(x, y, 0.0)


def silu_backward(dy, x, dx):
    _silu_backward(dy, x, dx, 0.0)


def hardsigmoid(x, y):
    _hardsigmoid(x, y, 0.0)


def hardsigmoid_backward(dy, y, dx):
    _hardsigmoid_backward(dy, y, dx, 0.0)


def hardswish(x, y):
    _hardswish(x, y, 0.0)


def hardswish_backward(dy, x, dx):
    _hardswish_backward(dy, x, dx, 0.0)


def gelu(x, y):
    _gelu(x, y, 0.0)


def gelu_backward(dy, x, dx):
    _gelu_backward(dy, x, dx, 0.0)


def gelu_tanh(x, y):
    _gelu_tanh(x, y, 0.0)


def gelu_tanh_backward(dy, x, dx):
    _gelu_tanh_backward(dy, x, dx, 0.0)


def relu(x, y):
    _relu(x, y, 0.0)


def relu_backward(dy, y, dx):
    _relu_backward(dy, y, dx, 0.0)


def relu6(x, y):
    _relu6(x, y, 0.0)


def relu6_backward(dy, y, dx):
    _relu6_backward(dy, y, dx, 0.0)


def leaky_relu(x, y, negative_slope):
    _leaky_relu(x, y, negative_slope)


def leaky_relu_backward(dy, x, dx, negative_slope):
    _leaky_relu_backward(dy, x, dx, negative_slope)


def sigmoid(x, y):
    _sigmoid(x, y, 0.0)


def sigmoid_backward(dy, y, dx):
    _sigmoid_backward(dy, y, dx, 0.0)


def tanh(x, y):
    _tanh(x, y, 0.0)


def tanh_backward(dy, y, dx):
    _tanh_backward(dy, y, dx, 0.0)


# ---- softmax ----

@ByRow
def _softmax(team):
    size, team_sum, team_max = team

    @kernel(constants=(size,))
    def softmax(x: floats, y: floats, rows: int32, columns: int32):
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        begin, largest, total = row * columns, -INFINITY, ZERO
        for j in range(first, columns, size):
            value = x[begin + j]
            largest = largest if value <= largest else value
        largest = team_max(largest)
        for j in range(first, columns, size):
            e = exp(x[begin + j] - largest)
            y[begin + j] = e
            total += e
        share = ONE / team_sum(total)
        for j in range(first, columns, size):
            y[begin + j] *= share

    return softmax


@ByRow
def _softmax_backward(team):
    size, team_sum, _ = team

    @kernel(constants=(size,))
    def softmax_backward(dy: floats, y: floats, dx: floats, rows: int32, columns: int32):
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        begin, total = row * columns, ZERO
        for j in range(first, columns, size):
            total += dy[begin + j] * y[begin + j]
        total = team_sum(total)
        for j in range(first, columns, size):
            dx[begin + j] = y[begin + j] * (dy[begin + j] - total)

    return softmax_backward


def softmax(x, y):
    _softmax(*x.shape, x, y)


def softmax_backward(dy, y, dx):
    _softmax_backward(*y.shape, dy, y, dx)
