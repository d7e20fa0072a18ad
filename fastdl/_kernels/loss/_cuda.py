"""Losses on the device, row by row; reference.py says what they are.

A label that is no class makes the row's loss NaN: nobody looks at labels that lie on the device.
"""

import numpy as np

from ...cuda._device import (
    ONE,
    ZERO,
    ByRow,
    blocks_for,
    cuda,
    device,
    divided,
    exp,
    float32,
    floats,
    int32,
    int64,
    kernel,
    log,
    log1p,
    longs,
)

_INFINITY, _NAN = np.float32(np.inf), np.float32(np.nan)
_LOG_FLOOR, _TINY, _HALF = np.float32(-100), np.float32(1e-12), np.float32(0.5)


def _log_total(team):
    """A function of the device for a team's kernels."""
    size, team_sum, team_max = team

    @device
    def log_total(x, begin, first, columns):
        """The row's largest score, and the logarithm of the sum of the others' shares of it."""
        largest = -_INFINITY
        for j in range(first, columns, size):
            value = x[begin + j]
            largest = largest if value <= largest else value
        largest = team_max(largest)
        total = ZERO
        for j in range(first, columns, size):
            total += exp(x[begin + j] - largest)
        return largest, log(team_sum(total))

    return log_total


# ---- softmax + cross-entropy, of labels ----

@ByRow
def _labels(team):
    size, log_total_of = team.size, _log_total(team)

    @kernel(constants=(size,))
    def labels(x: floats, t: longs, p: floats, loss: floats, scale: float32, gradient: int32,
               rows: int32, columns: int32):
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        begin, label = row * columns, t[row]
        largest, log_total = log_total_of(x, begin, first, columns)
        # p may be x: what is read of it is the element that this thread then writes.
        if not 0 <= label < columns:
            if first == 0:
                loss[row] = _NAN
        elif label % size == first:
            loss[row] = log_total - (x[begin + label] - largest)
        for j in range(first, columns, size):
            share = exp(x[begin + j] - largest - log_total)
            if gradient:
                share = (share - (ONE if j == label else ZERO)) * scale
            p[begin + j] = share

    return labels


@ByRow
def _labels_backward(team):
    size = team.size

    @kernel(constants=(size,))
    def labels_backward(p: floats, t: longs, dx: floats, scale: float32, rows: int32,
                        columns: int32):
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        begin, label = row * columns, t[row]
        for j in range(first, columns, size):
            dx[begin + j] = (p[begin + j] - (ONE if j == label else ZERO)) * scale

    return labels_backward


def softmax_cross_entropy(x, t, p, loss):
    _labels(*x.shape, x, t, p, loss, 0.0, 0)


def softmax_cross_entropy_backward(p, t, dx, scale):
    _labels_backward(*p.shape, p, t, dx, scale)


def softmax_cross_entropy_with_gradient(x, t, dx, loss, scale):
    _labels(*x.shape, x, t, dx, loss, scale, 1)


# ---- the same of distributions ----

@ByRow
def _dense(team):
    size, team_sum, log_total_of = team.size, team.sum, _log_total(team)

    @kernel(constants=(size,))
    def dense(x: floats, t: floats, p: floats, loss: floats, scale: float32, gradient: int32,
              rows: int32, columns: int32):
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        begin = row * columns
        largest, log_total = log_total_of(x, begin, first, columns)
        cost, weight = ZERO, ZERO
        for j in range(first, columns, size):
            target = t[begin + j]
            weight += target
            if target != ZERO:                  # 0 * -inf is 0 here
                cost -= target * (x[begin + j] - largest - log_total)
        cost, weight = team_sum(cost), team_sum(weight)
        if first == 0:
            loss[row] = cost
        for j in range(first, columns, size):
            share = exp(x[begin + j] - largest - log_total)
            if gradient:
                share = (share * weight - t[begin + j]) * scale
            p[begin + j] = share

    return dense


@ByRow
def _dense_backward(team):
    size, team_sum = team.size, team.sum

    @kernel(constants=(size,))
    def dense_backward(p: floats, t: floats, dx: floats, scale: float32, rows: int32,
                       columns: int32):
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        begin, weight = row * columns, ZERO
        for j in range(first, columns, size):
            weight += t[begin + j]
        weight = team_sum(weight)
        for j in range(first, columns, size):
            dx[begin + j] = (p[begin + j] * weight - t[begin + j]) * scale

    return dense_backward


def softmax_cross_entropy_dense(x, t, p, loss):
    _dense(*x.shape, x, t, p, loss, 0.0, 0)


def softmax_cross_entropy_dense_backward(p, t, dx, scale):
    _dense_backward(*p.shape, p, t, dx, scale)


def softmax_cross_entropy_dense_with_gradient(x, t, dx, loss, scale):
    _dense(*x.shape, x, t, dx, loss, scale, 1)


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
    @ByRow
    def rows(team):
        size, team_sum = team.size, team.sum

        @kernel(constants=(name, size))
        def sums(x: floats, t: floats, loss: floats, option: float32, rows: int32, columns: int32):
            row, first = divided(cuda.grid(1), size)
            if row >= rows:
                return
            begin, cost = row * columns, ZERO
            for j in range(first, columns, size):
                cost += f(x[begin + j], t[begin + j], option)
            cost = team_sum(cost)
            if first == 0:
                loss[row] = cost

        return sums

    return rows


def _of_elements(f, name):
    """A kernel that fills ``dx = f(x, t, option) * scale``."""
    @kernel(constants=(name,))
    def elements(x: floats, t: floats, dx: floats, n: int64, option: float32, scale: float32):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            dx[i] = f(x[i], t[i], option) * scale

    return elements


_cross_entropy_rows = _of_rows(_cross_entropy, "cross_entropy")
_squared_rows = _of_rows(_squared, "squared")
_binary_rows = _of_rows(_binary, "binary")
_cross_entropy_elements = _of_elements(_cross_entropy_gradient, "cross_entropy")
_squared_elements = _of_elements(_difference, "squared")
_binary_elements = _of_elements(_binary_gradient, "binary")


def cross_entropy(p, t, loss, eps):
    _cross_entropy_rows(*p.shape, p, t, loss, eps)


def cross_entropy_backward(p, t, dx, eps, scale):
    _cross_entropy_elements[blocks_for(p.size)](p, t, dx, p.size, eps, scale)


def mse(y, t, loss):
    _squared_rows(*y.shape, y, t, loss, 0.0)


def mse_backward(y, t, dx, scale):
    _squared_elements[blocks_for(y.size)](y, t, dx, y.size, 0.0, scale)


def binary_cross_entropy(p, t, loss):
    _binary_rows(*p.shape, p, t, loss, 0.0)


def binary_cross_entropy_backward(p, t, dx, scale):
    _binary_elements[blocks_for(p.size)](p, t, dx, p.size, 0.0, scale)
