"""Losses in Numba: one pass over each row and no temporary arrays; parallel over the rows.

A row's loss is summed in short runs (`_sum_over_row`), which keeps long rows accurate. Gradients
that are one formula for every element are parallel over the elements.
A class index outside the row is skipped: its loss is 0 and nothing is subtracted in its gradient.
"""

import numpy as np
from numba import prange

from .._numba_jit import const, const_flat, helper, parallel, total
from ..activation._numba import exp_row
from .reference import LOG_FLOOR

_RUN = 128


def _sum_over_row(term):
    """Make of ``term(u, v, constant)`` the sum of the term over two rows."""
    term = helper(term)

    @helper
    def sum_of(u, v, constant):
        result = u.dtype.type(0)
        for start in range(0, u.size, _RUN):
            part = u.dtype.type(0)
            for j in range(start, min(start + _RUN, u.size)):
                part += term(u[j], v[j], constant)
            result += part
        return result

    return sum_of


@helper
def _softmax_row(x, p, scale):
    """Fill ``p = scale * softmax(x)``; return what to subtract from x for log(p), in two parts."""
    largest, denominator = exp_row(x, p)
    factor = scale / denominator
    for j in range(p.size):
        p[j] *= factor
    return largest, np.log(denominator)


@parallel
def _softmax_cross_entropy(x, t, p, loss):
    for i in prange(x.shape[0]):
        row = x[i]
        largest, log_denominator = _softmax_row(row, p[i], p.dtype.type(1))
        if 0 <= t[i] < row.size:
            loss[i] = log_denominator - (row[t[i]] - largest)
        else:
            loss[i] = 0


def softmax_cross_entropy(x, t, p, loss):
    _softmax_cross_entropy(const(x), const(t), p, loss)


@parallel
def _softmax_cross_entropy_backward(p, t, dx, scale):
    one = p.dtype.type(1)
    for i in prange(p.shape[0]):
        p_row, dx_row = p[i], dx[i]
        for j in range(dx_row.size):
            dx_row[j] = (p_row[j] - one if j == t[i] else p_row[j]) * scale


def softmax_cross_entropy_backward(p, t, dx, scale):
    _softmax_cross_entropy_backward(const(p), const(t), dx, dx.dtype.type(scale))


@parallel
def _softmax_cross_entropy_with_gradient(x, t, dx, loss, scale):
    for i in prange(x.shape[0]):
        row, dx_row = x[i], dx[i]
        largest, log_denominator = _softmax_row(row, dx_row, scale)
        loss[i] = 0
        if 0 <= t[i] < row.size:
            loss[i] = log_denominator - (row[t[i]] - largest)
            dx_row[t[i]] -= scale


def softmax_cross_entropy_with_gradient(x, t, dx, loss, scale):
    _softmax_cross_entropy_with_gradient(const(x), const(t), dx, loss, dx.dtype.type(scale))


@_sum_over_row
def _dense_loss(x, t, shifts):
    # 0 * -inf is 0 here: a class of target 0 adds nothing however unlikely it is.
    return t if t == 0 else t * ((x - shifts[0]) - shifts[1])


@parallel
def _softmax_cross_entropy_dense(x, t, p, loss):
    for i in prange(x.shape[0]):
        loss[i] = -_dense_loss(x[i], t[i], _softmax_row(x[i], p[i], p.dtype.type(1)))


def softmax_cross_entropy_dense(x, t, p, loss):
    _softmax_cross_entropy_dense(const(x), const(t), p, loss)


@parallel
def _softmax_cross_entropy_dense_backward(p, t, dx, scale):
    for i in prange(p.shape[0]):
        p_row, t_row, dx_row = p[i], t[i], dx[i]
        mass = total(t_row)
        for j in range(dx_row.size):
            dx_row[j] = (p_row[j] * mass - t_row[j]) * scale


def softmax_cross_entropy_dense_backward(p, t, dx, scale):
    _softmax_cross_entropy_dense_backward(const(p), const(t), dx, p.dtype.type(scale))


@parallel
def _softmax_cross_entropy_dense_with_gradient(x, t, dx, loss, scale):
    for i in prange(x.shape[0]):
        t_row, dx_row = t[i], dx[i]
        loss[i] = -_dense_loss(x[i], t_row, _softmax_row(x[i], dx_row, total(t_row)))
        for j in range(dx_row.size):
            dx_row[j] = (dx_row[j] - t_row[j]) * scale


def softmax_cross_entropy_dense_with_gradient(x, t, dx, loss, scale):
    _softmax_cross_entropy_dense_with_gradient(const(x), const(t), dx, loss, dx.dtype.type(scale))


@_sum_over_row
def _cross_entropy_loss(p, t, eps):
    return t * np.log(p + eps)


@parallel
def _cross_entropy(p, t, loss, eps):
    for i in prange(p.shape[0]):
        loss[i] = -_cross_entropy_loss(p[i], t[i], eps)


def cross_entropy(p, t, loss, eps):
    _cross_entropy(const(p), const(t), loss, p.dtype.type(eps))


@parallel
def _cross_entropy_backward(p, t, dx, eps, scale):
    for i in prange(p.size):
        dx[i] = -t[i] / (p[i] + eps) * scale


def cross_entropy_backward(p, t, dx, eps, scale):
    _cross_entropy_backward(const_flat(p), const_flat(t), dx.reshape(-1),
                            p.dtype.type(eps), p.dtype.type(scale))


@_sum_over_row
def _half_squares(y, t, half):
    return (y - t) * (y - t) * half


@parallel
def _mse(y, t, loss, half):
    for i in prange(y.shape[0]):
        loss[i] = _half_squares(y[i], t[i], half)


def mse(y, t, loss):
    _mse(const(y), const(t), loss, y.dtype.type(0.5))


@parallel
def _mse_backward(y, t, dx, scale):
    for i in prange(y.size):
        dx[i] = (y[i] - t[i]) * scale


def mse_backward(y, t, dx, scale):
    _mse_backward(const_flat(y), const_flat(t), dx.reshape(-1), y.dtype.type(scale))


@helper
def _at_least(floor, value):
    """The greater of the two; NaN if `value` is."""
    return floor if value < floor else value


@_sum_over_row
def _binary_loss(p, t, constants):
    one, log_floor = constants
    return t * _at_least(log_floor, np.log(p)) + (one - t) * _at_least(log_floor, np.log1p(-p))


@parallel
def _binary_cross_entropy(p, t, loss, constants):
    for i in prange(p.shape[0]):
        loss[i] = -_binary_loss(p[i], t[i], constants)


def binary_cross_entropy(p, t, loss):
    real = p.dtype.type
    _binary_cross_entropy(const(p), const(t), loss, (real(1), real(LOG_FLOOR)))


@parallel
def _binary_cross_entropy_backward(p, t, dx, scale, floor):
    one = p.dtype.type(1)
    for i in prange(p.size):
        dx[i] = (p[i] - t[i]) / _at_least(floor, p[i] * (one - p[i])) * scale


def binary_cross_entropy_backward(p, t, dx, scale):
    real = p.dtype.type
    _binary_cross_entropy_backward(const_flat(p), const_flat(t), dx.reshape(-1),
                                   real(scale), real(1e-12))
