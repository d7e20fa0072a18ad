"""Batch normalisation in Numba, by the same two passes as in native/kernel_batchnorm.h.

First two sums for each channel, of g and of g (x - mean), where g is dy on the way back, and
x - mean itself on the way forward; there the mean is a guess, which the sums correct. Then

    out = (x - mean) * factor + offset + extra * scale

with the residual or dy as `extra`. A ReLU is a pair of `limits`: results are kept between them on
the way forward, and on the way back dy passes where the output, the `gate`, is between them. One
that is NaN limits nothing. Planes are parallel over the channels, and the second pass finds
a channel in the cache. Channels-last maps and short planes are taken as rows, each of so many
images that it is worth a loop, and are parallel over parts of the rows.
"""

import numpy as np
from numba import prange

from .._numba_jit import const, fold, helper, new_lanes, parallel

_SHORT = 16                     # positions: shorter planes are taken as rows
_WIDE = 64                      # columns that a row has at least
_BLOCK = 256                    # rows summed in the dtype, before the sum goes on in float64
_PARTS = 64


# ---- the two steps, on runs of values ----

@helper
def _passed(extra, gate, limits, j):
    if gate.size > 0 and (gate[j] <= limits[0] or gate[j] >= limits[1]):
        return extra.dtype.type(0)
    return extra[j]


@helper
def _add_terms(x, extra, gate, limits, kept, mean, forward, sums, products):
    """Add each value's terms to the sums at its place; `mean` has as many places as the sums."""
    for j in range(x.size):
        centred = x[j] - mean[j]
        g = centred if forward else _passed(extra, gate, limits, j)
        sums[j] += g
        products[j] += g * centred
    if kept.size > 0:
        for j in range(x.size):
            kept[j] = _passed(extra, gate, limits, j)


@helper
def _result(x, extra, gate, limits, lines, affine, out):
    """Each of the four lines has a constant for each value."""
    zero, limited, more = x.dtype.type(0), gate.size == 0, extra.size > 0
    mean, factor, offset, scale = lines[0], lines[1], lines[2], lines[3]
    for j in range(x.size):
        value = (x[j] - mean[j]) * factor[j] + offset[j] if affine else zero
        if more:
            value += _passed(extra, gate, limits, j) * scale[j]
        if limited:
            value = limits[0] if value <= limits[0] else value
            value = limits[1] if value >= limits[1] else value
        out[j] = value


@helper
def _finish(c, total, product, count, weight, bias, mean, rstd, var, dw, db, eps, forward, line):
    """From the sums of channel `c` to what is saved, and to the four constants of its result."""
    if forward:
        shift = total / count
        mean[c] += shift
        var[c] = product / count - shift * shift
        var[c] = 0 if var[c] < 0 else var[c]
        rstd[c] = 1 / np.sqrt(np.float64(var[c]) + eps)
        line[1, c], line[2, c], line[3, c] = rstd[c] * weight[c], bias[c], 1
    else:
        db[c], dw[c] = total, product * rstd[c]
        scale = weight[c] * rstd[c]
        line[1, c] = -(dw[c] / count * rstd[c] * scale)
        line[2, c], line[3, c] = -(db[c] / count * scale), scale
    line[0, c] = mean[c]


@parallel
def _finish_all(totals, count, weight, bias, mean, rstd, var, dw, db, eps, forward, line):
    for c in prange(mean.size):
        _finish(c, totals[0, c], totals[1, c], count, weight, bias, mean, rstd, var, dw, db, eps,
                forward, line)


# ---- planes ----

@helper
def _run(array, n, c, start, stop):
    """Some positions of a plane; nothing of an array that stands for None."""
    return array[n, c, start:stop] if array.size > 0 else array.reshape(-1)[:0]


@helper
def _plane_result(x, extra, gate, limits, n, c, lines, affine, out):
    L, width = x.shape[2], lines.shape[1]
    for start in range(0, L, width):
        stop = min(start + width, L)
        _result(x[n, c, start:stop], _run(extra, n, c, start, stop), _run(gate, n, c, start, stop),
                limits, lines, affine, out[n, c, start:stop])


@parallel
def _planes(x, extra, gate, limits, kept, weight, bias, mean, rstd, var, dw, db, eps, forward,
            affine, out):
    N, C, L = x.shape
    line = np.empty((4, C), x.dtype)
    for c in prange(C):
        lanes = new_lanes(2, L, x.dtype)
        width = lanes.shape[1]
        lines = np.empty((4, width), x.dtype)
        lines[0] = mean[c]
        total, product = 0.0, 0.0
        for n in range(N):
            for start in range(0, L, width):
                stop = min(start + width, L)
                _add_terms(x[n, c, start:stop], _run(extra, n, c, start, stop),
                           _run(gate, n, c, start, stop), limits, _run(kept, n, c, start, stop),
                           lines[0], forward, lanes[0], lanes[1])
            if n % _SHORT == 0 or n == N - 1 or L > _BLOCK * _SHORT:
                total += fold(lanes[0])
                product += fold(lanes[1])
        _finish(c, total, product, N * L, weight, bias, mean, rstd, var, dw, db, eps, forward, line)
        for k in range(4):
            lines[k] = line[k, c]
        for n in range(N - 1, -1, -1):
            _plane_result(x, extra, gate, limits, n, c, lines, affine, out)


@parallel
def _plane_results(x, extra, gate, limits, line, affine, out):
    N, C, L = x.shape
    for plane in prange(N * C):
        n, c = np.intp(plane) // C, np.intp(plane) % C
        lines = np.empty((4, min(L, 128)), x.dtype)
        for k in range(4):
            lines[k] = line[k, c]
        _plane_result(x, extra, gate, limits, n, c, lines, affine, out)


# ---- rows ----

def _is_planes(x):
    return x.flags.c_contiguous and x.shape[2] >= _SHORT


class _Rows:
    """Maps as rows: `positions` of a channel side by side, `together` images in one."""

    def __init__(self, x):
        N, C, L = x.shape
        self.last = not x.flags.c_contiguous
        self.images, self.positions, self.channels = (N * L, 1, C) if self.last else (N, L, C)
        self.together = -(-_WIDE // (C * self.positions))

    def parts(self, array):
        """Views of `array`: the wide rows, and the images that are left."""
        if array is None:
            return [np.empty((0, 0), np.float32)] * 2
        values, wide = self.channels * self.positions, self.images // self.together
        rows = (array.swapaxes(1, 2) if self.last else array).reshape(self.images, values)
        whole = rows[:wide * self.together].reshape(wide, self.together * values)
        return [whole, rows[wide * self.together:]]

    def columns(self, values, row_size):
        """What belongs to a channel, once for each column."""
        each = np.repeat(values, self.positions, axis=-1)
        return np.tile(each, row_size // each.shape[-1])

    def folded(self, sums):
        """Sums of columns as those of channels."""
        return sums.reshape(2, -1, self.channels, self.positions).sum(axis=(1, 3))


@helper
def _row(array, r):
    return array[r] if array.size > 0 else array.reshape(-1)


@parallel
def _row_sums(x, extra, gate, limits, kept, mean, forward, totals):
    parts = totals.shape[0]
    for part in prange(parts):
        begin, end = x.shape[0] * np.intp(part) // parts, x.shape[0] * np.intp(part + 1) // parts
        sums = np.zeros((2, x.shape[1]), x.dtype)
        for start in range(begin, end, _BLOCK):
            for r in range(start, min(start + _BLOCK, end)):
                _add_terms(x[r], _row(extra, r), _row(gate, r), limits, _row(kept, r), mean,
                           forward, sums[0], sums[1])
            totals[part] += sums
            sums[:] = 0


@parallel
def _row_results(x, extra, gate, limits, lines, affine, out):
    for r in prange(x.shape[0]):
        _result(x[r], _row(extra, r), _row(gate, r), limits, lines, affine, out[r])


# ---- both directions ----

def _view(array, dtype, ndim):
    """A read-only input; None as an empty array."""
    return const(np.empty((0,) * ndim, dtype) if array is None else array)


def _limits(cap, dtype):
    if cap is None:
        return dtype.type(np.nan), dtype.type(np.nan)
    return dtype.type(0), dtype.type(cap if np.isfinite(cap) else np.nan)


def _statistics_and_result(x, extra, gate, cap, kept, weight, bias, mean, rstd, var, dw, db, eps,
                           forward, affine, out):
    dtype, limits = x.dtype, _limits(cap, x.dtype)
    constants = weight, bias, mean, rstd, var, dw, db, float(eps), forward
    if _is_planes(x):
        kept = np.empty((0, 0, 0), dtype) if kept is None else kept
        _planes(const(x), _view(extra, dtype, 3), _view(gate, dtype, 3), limits, kept, *constants,
                affine, out)
        return
    rows, line = _Rows(x), np.empty((4, mean.size), dtype)
    totals = np.zeros((2, mean.size))
    for some, *others, keep in zip(*map(rows.parts, (x, extra, gate, kept)), strict=True):
        if some.size:
            sums = np.zeros((min(_PARTS, len(some)), 2, some.shape[1]))
            _row_sums(const(some), *(_view(a if a.size else None, dtype, 2) for a in others),
                      limits, keep if keep.size else np.empty((0, 0), dtype),
                      rows.columns(mean, some.shape[1]), forward, sums)
            totals += rows.folded(sums.sum(axis=0))
    _finish_all(totals, rows.images * rows.positions, *constants, line)
    _results_of_rows(rows, x, extra, gate, limits, line, affine, out)


def _results_of_rows(rows, x, extra, gate, limits, line, affine, out):
    for some, *others, result in zip(*map(rows.parts, (x, extra, gate, out)), strict=True):
        if some.size:
            _row_results(const(some), *(_view(a if a.size else None, x.dtype, 2) for a in others),
                         limits, rows.columns(line, some.shape[1]), affine, result)


def _guess(x):
    """Means of a few values of each channel, from all over the batch; 0 where not finite."""
    N, _, L = x.shape
    guess = x[::max(N // 16, 1), :, L // 2:L // 2 + 8].mean(axis=(0, 2))
    return np.where(np.isfinite(guess), guess, x.dtype.type(0))


def batch_norm(x, weight, bias, residual, running_mean, running_var, y, mean, rstd, momentum, eps,
               cap, moments=None):
    if moments is not None:
        mean[...], var = moments
        rstd[...] = 1 / np.sqrt(var + eps)
        batch_norm_inference(x, weight, bias, mean, var, residual, y, eps, cap)
    else:
        var, none = np.empty_like(mean), np.empty_like(mean)
        mean[...] = _guess(x)
        _statistics_and_result(x, residual, None, cap, None, const(weight), const(bias), mean,
                               rstd, var, none, none, eps, True, True, y)
    if running_mean is not None:
        count = x.shape[0] * x.shape[2]
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var * (count / (count - 1)) - running_var)


def batch_norm_inference(x, weight, bias, mean, var, residual, y, eps, cap):
    scale, limits = weight / np.sqrt(var + x.dtype.type(eps)), _limits(cap, x.dtype)
    line = np.stack([mean, scale, bias, np.ones_like(mean)])
    if _is_planes(x):
        _plane_results(const(x), _view(residual, x.dtype, 3), _view(None, x.dtype, 3), limits, line,
                       True, y)
    else:
        _results_of_rows(_Rows(x), x, residual, None, limits, line, True, y)


def batch_norm_backward(dy, x, y, weight, mean, rstd, dx, dresidual, dw, db, training,
                        cap):
    # What the kernel writes on the way forward is written to copies.
    _statistics_and_result(x, dy, y, cap if y is not None else None, dresidual, const(weight),
                           const(weight), mean.copy(), rstd.copy(), np.empty_like(rstd), dw, db,
                           0.0, False, bool(training), dx)
