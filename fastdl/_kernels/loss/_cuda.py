"""Losses on the device: a block for each row; reference.py says what they are.

A label that is no class makes the row's loss NaN: nobody looks at labels that lie on the device.
"""

import numpy as np

from ...cuda._device import (
    ONE,
    ZERO,
    block_max,
    block_sum,
    cuda,
    device,
    exp,
    float32,
    floats,
    int32,
    kernel,
    log,
    log1p,
    longs,
)

_INFINITY, _NAN = np.float32(np.inf), np.float32(np.nan)
_LOG_FLOOR, _TINY, _HALF = np.float32(-100), np.float32(1e-12), np.float32(0.5)


@device
def _log_total(x, row, columns):
    """The row's largest score, and the logarithm of the sum of the others' shares of it."""
    largest = -_INFINITY
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        value = x[row + j]
        if not value <= largest:
            largest = value
    largest = block_max(largest)
    total = ZERO
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        total += exp(x[row + j] - largest)
    return largest, log(block_sum(total))


# ---- softmax + cross-entropy, of labels ----

@kernel()
def _labels(x: floats, t: longs, p: floats, loss: floats, columns: int32, scale: float32,
            gradient: int32):
    row = np.int64(cuda.blockIdx.x) * columns
    label = t[cuda.blockIdx.x]
    largest, log_total = _log_total(x, row, columns)
    if cuda.threadIdx.x == 0:
        known = 0 <= label < columns
        loss[cuda.blockIdx.x] = log_total - (x[row + label] - largest) if known else _NAN
    cuda.syncthreads()                          # p may be x
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        share = exp(x[row + j] - largest - log_total)
        if gradient:
            share = (share - (ONE if j == label else ZERO)) * scale
        p[row + j] = share


@kernel()
def _labels_backward(p: floats, t: longs, dx: floats, columns: int32, scale: float32):
    row, label = np.int64(cuda.blockIdx.x) * columns, t[cuda.blockIdx.x]
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        dx[row + j] = (p[row + j] - (ONE if j == label else ZERO)) * scale


def softmax_cross_entropy(x, t, p, loss):
    _labels[x.shape[0]](x, t, p, loss, x.shape[1], 0.0, 0)


def softmax_cross_entropy_backward(p, t, dx, scale):
    _labels_backward[p.shape[0]](p, t, dx, p.shape[1], scale)


def softmax_cross_entropy_with_gradient(x, t, dx, loss, scale):
    _labels[x.shape[0]](x, t, dx, loss, x.shape[1], scale, 1)


# ---- the same of distributions ----

@kernel()
def _dense(x: floats, t: floats, p: floats, loss: floats, columns: int32, scale: float32,
           gradient: int32):
    row = np.int64(cuda.blockIdx.x) * columns
    largest, log_total = _log_total(x, row, columns)
    cost, weight = ZERO, ZERO
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        target = t[row + j]
        weight += target
        if target != ZERO:                      # 0 * -inf is 0 here
            cost -= target * (x[row + j] - largest - log_total)
    cost, weight = block_sum(cost), block_sum(weight)
    if cuda.threadIdx.x == 0:
        loss[cuda.blockIdx.x] = cost
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        share = exp(x[row + j] - largest - log_total)
        if gradient:
            share = (share * weight - t[row + j]) * scale
        p[row + j] = share


@kernel()
def _dense_backward(p: floats, t: floats, dx: floats, columns: int32, scale: float32):
    row = np.int64(cuda.blockIdx.x) * columns
    weight = ZERO
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        weight += t[row + j]
    weight = block_sum(weight)
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        dx[row + j] = (p[row + j] * weight - t[row + j]) * scale


def softmax_cross_entropy_dense(x, t, p, loss):
    _dense[x.shape[0]](x, t, p, loss, x.shape[1], 0.0, 0)


def softmax_cross_entropy_dense_backward(p, t, dx, scale):
    _dense_backward[p.shape[0]](p, t, dx, p.shape[1], scale)


def softmax_cross_entropy_dense_with_gradient(x, t, dx, loss, scale):
    _dense[x.shape[0]](x, t, dx, loss, x.shape[1], scale, 1)


# ---- losses of elements, summed over rows ----

@device
def _cross_entropy(p, t, eps):
    return -(t * log(p + eps))


@device
def _squared(y, t, _):
    return (y - t) * (y - t) * _HALF


@device
def _floored(value):
    return _LOG_FLOOR if value < _LOG_FLOOR else value


@device
def _binary(p, t, _):
    return -(t * _floored(log(p)) + (ONE - t) * _floored(log1p(-p)))


@device
def _cross_entropy_gradient(p, t, eps):
    return -t / (p + eps)


@device
def _difference(y, t, _):
    return y - t


@device
def _binary_gradient(p, t, _):
    spread = p * (ONE - p)
    return (p - t) / (_TINY if spread < _TINY else spread)


def _of_rows(f, name):
    """A kernel that sums ``f(x, t, option)`` over each row."""
    @kernel(constants=(name,))
    def rows(x: floats, t: floats, loss: floats, columns: int32, option: float32):
        row = np.int64(cuda.blockIdx.x) * columns
        cost = ZERO
        for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
            cost += f(x[row + j], t[row + j], option)
        cost = block_sum(cost)
        if cuda.threadIdx.x == 0:
            loss[cuda.blockIdx.x] = cost

    return rows


def _of_elements(f, name):
    """A kernel that fills ``dx = f(x, t, option) * scale``."""
    @kernel(constants=(name,))
    def elements(x: floats, t: floats, dx: floats, columns: int32, option: float32, scale: float32):
        row = np.int64(cuda.blockIdx.x) * columns
        for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
            dx[row + j] = f(x[row + j], t[row + j], option) * scale

    return elements


_cross_entropy_rows = _of_rows(_cross_entropy, "cross_entropy")
_squared_rows = _of_rows(_squared, "squared")
_binary_rows = _of_rows(_binary, "binary")
_cross_entropy_elements = _of_elements(_cross_entropy_gradient, "cross_entropy")
_squared_elements = _of_elements(_difference, "squared")
_binary_elements = _of_elements(_binary_gradient, "binary")


def cross_entropy(p, t, loss, eps):
    _cross_entropy_rows[p.shape[0]](p, t, loss, p.shape[1], eps)


def cross_entropy_backward(p, t, dx, eps, scale):
    _cross_entropy_elements[p.shape[0]](p, t, dx, p.shape[1], eps, scale)


def mse(y, t, loss):
    _squared_rows[y.shape[0]](y, t, loss, y.shape[1], 0.0)


def mse_backward(y, t, dx, scale):
    _squared_elements[y.shape[0]](y, t, dx, y.shape[1], 0.0, scale)


def binary_cross_entropy(p, t, loss):
    _binary_rows[p.shape[0]](p, t, loss, p.shape[1], 0.0)


def binary_cross_entropy_backward(p, t, dx, scale):
    _binary_elements[p.shape[0]](p, t, dx, p.shape[1], 0.0, scale)
