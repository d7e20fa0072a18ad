"""Batch normalisation in Numba: a thread does all passes over a channel while the cache holds it.

Training is parallel over the channels: mean, variance around that mean (two passes, so nothing
cancels), output. Channels that lie in short pieces, as the columns of a dense layer's outputs do,
are first copied together. Evaluation has no sums and is parallel over (image, channel).
"""

import numpy as np
from numba import prange

from .._numba_jit import add_products, add_row, const, fold, helper, new_lanes, parallel

_SHORT = 32                     # positions: shorter pieces are copied together


def _channel_rows(x):
    """`x` itself, or a copy of it as (1, C, N * L) if its rows are short."""
    N, C, L = x.shape
    if L >= _SHORT or N <= 1:
        return const(x)
    return const(np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(1, C, N * L))


def _copy_back(rows, out):
    """Bring a result that was computed on `_channel_rows` into the shape of `out`."""
    N, C, L = out.shape
    out[...] = rows.reshape(C, N, L).transpose(1, 0, 2)


@helper
def _scale_row(x, mean, scale, bias, y):
    for i in range(x.size):
        y[i] = (x[i] - mean) * scale + bias


@parallel
def _batch_norm(x, weight, bias, y, mean, var, rstd, eps):
    N, C, L = x.shape
    one, count = x.dtype.type(1), x.dtype.type(N * L)
    for c in prange(C):
        lanes = new_lanes(1, L, x.dtype)[0]
        for n in range(N):
            add_row(lanes, x[n, c])
        centre = fold(lanes) / count
        for n in range(N):
            add_products(lanes, x[n, c], x[n, c], centre, centre)
        mean[c], var[c] = centre, fold(lanes) / count
        rstd[c] = one / np.sqrt(var[c] + eps)
        for n in range(N):
            _scale_row(x[n, c], centre, rstd[c] * weight[c], bias[c], y[n, c])


def batch_norm(x, weight, bias, running_mean, running_var, y, mean, rstd, momentum, eps):
    var, x_rows = np.empty_like(mean), _channel_rows(x)
    y_rows = y if x_rows.shape == y.shape else np.empty(x_rows.shape, x.dtype)
    _batch_norm(x_rows, const(weight), const(bias), y_rows, mean, var, rstd, x.dtype.type(eps))
    if y_rows is not y:
        _copy_back(y_rows, y)
    if running_mean is not None:
        count = x.shape[0] * x.shape[2]
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var * (count / (count - 1)) - running_var)


@parallel
def _batch_norm_inference(x, weight, bias, mean, var, y, eps):
    N, C, _ = x.shape
    for row in prange(N * C):
        n, c = np.intp(row) // C, np.intp(row) % C
        _scale_row(x[n, c], mean[c], weight[c] / np.sqrt(var[c] + eps), bias[c], y[n, c])


def batch_norm_inference(x, weight, bias, mean, var, y, eps):
    _batch_norm_inference(const(x), const(weight), const(bias), const(mean), const(var), y,
                          x.dtype.type(eps))


@parallel
def _batch_norm_backward(dy, x, weight, mean, rstd, dx, dw, db, training):
    N, C, L = x.shape
    zero, count = x.dtype.type(0), x.dtype.type(N * L)
    for c in prange(C):
        lanes = new_lanes(2, L, x.dtype)
        for n in range(N):
            add_row(lanes[0], dy[n, c])
            add_products(lanes[1], dy[n, c], x[n, c], zero, mean[c])
        db[c] = fold(lanes[0])
        dw[c] = fold(lanes[1]) * rstd[c]
        # Constants of the channel; the gradient through mean and variance is their part of dx.
        scale, centre = weight[c] * rstd[c], mean[c]
        shift, slope = db[c] / count, dw[c] / count * rstd[c]
        for n in range(N):
            dy_row, x_row, dx_row = dy[n, c], x[n, c], dx[n, c]
            if training:
                for i in range(L):
                    dx_row[i] = (dy_row[i] - shift - (x_row[i] - centre) * slope) * scale
            else:
                for i in range(L):
                    dx_row[i] = dy_row[i] * scale


def batch_norm_backward(dy, x, weight, mean, rstd, dx, dw, db, training):
    dy_rows, x_rows = _channel_rows(dy), _channel_rows(x)
    dx_rows = dx if x_rows.shape == dx.shape else np.empty(x_rows.shape, x.dtype)
    _batch_norm_backward(dy_rows, x_rows, const(weight), const(mean), const(rstd),
                         dx_rows, dw, db, bool(training))
    if dx_rows is not dx:
        _copy_back(dx_rows, dx)
