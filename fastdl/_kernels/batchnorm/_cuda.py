"""Batch normalisation on the device, per channel of planes; reference.py has the formulas.

Statistics are made in two steps. Blocks go over parts of a channel, each thread with sums of the
distances from its own first element, which do not cancel; means and squared distances, of threads
and then of parts, are put together (Chan et al., 1979). Everything else is one pass over memory.
Threads stay at their place of an image, with the channel's numbers in registers, and go from one
image to another; they take four elements at a time where a channel's begin and end at fours. (For
sums alone else four of as many images, so that enough of memory is on its way.)
"""

import math

import numpy as np

from ...cuda._array import empty
from ...cuda._device import (
    ONE,
    THREADS,
    WARP,
    ZERO,
    access,
    block_sum,
    blocks_for,
    cuda,
    device,
    divided,
    float32,
    floats,
    in_fours,
    in_step,
    int32,
    kernel,
    sqrt,
    warp_sum,
    warps_for,
)
from ...cuda._driver import driver

_INFINITY = np.float32(np.inf)


def _parts(N, C, L, blocks):
    """Blocks for each channel, and how many images they do at once; N and L as of `_sums`.

    A multiprocessor gets so many blocks, unless threads had too little work.
    """
    most = THREADS * max(1, min(blocks * driver().processors // max(C, 1), N * L // (4 * THREADS)))
    at_once = max(1, most // max(L, 1))
    at_once = -(-N // max(1, -(-N // at_once)))
    rounds = max(1, -(-L // most))              # of an image
    return -(-at_once * -(-L // rounds) // THREADS), at_once


# ---- what the passes do to an element ----

@device
def _clipped(value, low, high):
    """NaN is no bound: nothing lies beyond it."""
    value = low if value <= low else value
    return high if value >= high else value


@device
def _gated(dy, y, low, high):
    """What passes of a gradient."""
    return ZERO if y <= low or y >= high else dy


# ---- sums over channels ----

def _sums(width, images):
    """The kernels that take so many elements at a time, or one each of so many images.

    L counts in the first, N in the second.
    """
    get_neighbours, _ = access(width)
    together = width * images

    @device
    def get(p, i, apart):
        if images == 1:
            return get_neighbours(p, i * width)
        return p[i], p[i + apart], p[i + 2 * apart], p[i + 3 * apart]

    @kernel(constants=(width, images))
    def statistics(x: floats, parts: floats, N: int32, C: int32, L: int32, at_once: int32):
        """Of each part of a channel: number, mean, and sum of squared distances from it."""
        c = cuda.blockIdx.y
        image, begin = divided(cuda.grid(1), L)
        if image >= at_once:            # of no use but for the sums
            image = N
        i, apart, threads = (image * images * C + c) * L + begin, C * L, cuda.gridsize(1)
        n, shift, total, squares = ZERO, ZERO, ZERO, ZERO
        while image < N:
            place, at = begin, i
            while place < L:
                a = get(x, at, apart)
                if n == ZERO and abs(a[0]) < _INFINITY:
                    shift = a[0]
                n += np.float32(together)
                for k in range(together):
                    distance = a[k] - shift
                    total, squares = total + distance, squares + distance * distance
                place, at = place + threads, at + threads
            image, i = image + at_once, i + at_once * images * apart
        mean = shift + total / max(n, ONE)
        spread = squares - total * (mean - shift)
        all_n = block_sum(n)
        middle = block_sum(n * mean) / all_n
        spread = block_sum(spread + n * (mean - middle) * (mean - middle))
        if cuda.threadIdx.x == 0:
            at = 3 * (c * cuda.gridDim.x + cuda.blockIdx.x)
            parts[at], parts[at + 1], parts[at + 2] = all_n, middle, spread

    @kernel(constants=(width, images))
    def gradients(dy: floats, x: floats, y: floats, mean: floats, rstd: floats, parts: floats,
                  N: int32, C: int32, L: int32, at_once: int32, has_gate: int32, low: float32,
                  high: float32):
        """Of each part of a channel: the sums of dy, and of dy times the normalised x."""
        c = cuda.blockIdx.y
        middle = mean[c]
        image, begin = divided(cuda.grid(1), L)
        if image >= at_once:            # of no use but for the sums
            image = N
        i, apart, threads = (image * images * C + c) * L + begin, C * L, cuda.gridsize(1)
        total, product = ZERO, ZERO
        while image < N:
            place, at = begin, i
            while place < L:
                a, g = get(x, at, apart), get(dy, at, apart)
                o = get(y, at, apart) if has_gate else g
                for k in range(together):
                    passed = _gated(g[k], o[k], low, high)
                    total, product = total + passed, product + passed * (a[k] - middle)
                place, at = place + threads, at + threads
            image, i = image + at_once, i + at_once * images * apart
        total, product = block_sum(total), block_sum(product) * rstd[c]
        if cuda.threadIdx.x == 0:
            at = 2 * (c * cuda.gridDim.x + cuda.blockIdx.x)
            parts[at], parts[at + 1] = total, product

    return statistics, gradients


# ---- all parts of a channel as one, by a warp ----

@device
def _put_together(parts, c, lane, count):
    """Number, mean, and sum of squared distances from it."""
    n, total, spread = ZERO, ZERO, ZERO
    for part in range(lane, count, WARP):
        at = 3 * (c * count + part)
        n, total = n + parts[at], total + parts[at] * parts[at + 1]
    n = warp_sum(n)
    middle = warp_sum(total) / n
    for part in range(lane, count, WARP):
        at = 3 * (c * count + part)
        distance = parts[at + 1] - middle
        spread += parts[at + 2] + parts[at] * distance * distance
    return n, middle, warp_sum(spread)


@kernel()
def _finish_statistics(parts: floats, count: int32, C: int32, mean: floats, rstd: floats,
                       running_mean: floats, running_var: floats, has_running: int32,
                       momentum: float32, eps: float32):
    c, lane = divided(cuda.grid(1), WARP)
    if c >= C:
        return
    n, middle, spread = _put_together(parts, c, lane, count)
    if lane == 0:
        mean[c] = middle
        rstd[c] = ONE / sqrt(spread / n + eps)
        if has_running:
            running_mean[c] += momentum * (middle - running_mean[c])
            running_var[c] += momentum * (spread / (n - ONE) - running_var[c])


@kernel()
def _as_moments(parts: floats, count: int32, C: int32, moments: floats):
    """Mean and variance."""
    c, lane = divided(cuda.grid(1), WARP)
    if c >= C:
        return
    n, middle, spread = _put_together(parts, c, lane, count)
    if lane == 0:
        moments[c], moments[C + c] = middle, spread / n


@kernel()
def _finish_gradients(parts: floats, count: int32, C: int32, dw: floats, db: floats):
    c, lane = divided(cuda.grid(1), WARP)
    if c >= C:
        return
    total, product = ZERO, ZERO
    for part in range(lane, count, WARP):
        at = 2 * (c * count + part)
        total, product = total + parts[at], product + parts[at + 1]
    total, product = warp_sum(total), warp_sum(product)
    if lane == 0:
        db[c], dw[c] = total, product


@kernel()
def _as_part(moments: floats, parts: floats, C: int32, n: float32):
    """Mean and variance of each channel as what `statistics` gives for one part."""
    for c in range(cuda.grid(1), C, cuda.gridsize(1)):
        parts[3 * c], parts[3 * c + 1], parts[3 * c + 2] = n, moments[c], moments[C + c] * n


# ---- passes over all elements ----

def _passes(width):
    """The kernels that take so many elements at a time; L counts in these."""
    get, put = access(width)

    @kernel(constants=(width,))
    def forward(x: floats, residual: floats, mean: floats, rstd: floats, weight: floats,
                bias: floats, y: floats, N: int32, C: int32, L: int32, at_once: int32,
                has_residual: int32, low: float32, high: float32,
                variance_eps: float32):
        i = cuda.grid(1)
        plane, _ = divided(i, L)
        image, c = divided(plane, C)
        if image >= at_once:
            return
        scale = rstd[c]
        if variance_eps >= ZERO:            # rstd is a variance
            scale = ONE / sqrt(scale + variance_eps)
        middle, scale, shift = mean[c], scale * weight[c], bias[c]
        while image < N:
            at = i * width
            a = get(x, at)
            v0, v1 = (a[0] - middle) * scale + shift, (a[1] - middle) * scale + shift
            v2, v3 = (a[2] - middle) * scale + shift, (a[3] - middle) * scale + shift
            if has_residual:
                r = get(residual, at)
                v0, v1, v2, v3 = v0 + r[0], v1 + r[1], v2 + r[2], v3 + r[3]
            put(y, at, (_clipped(v0, low, high), _clipped(v1, low, high),
                        _clipped(v2, low, high), _clipped(v3, low, high)))
            image, i = image + at_once, i + at_once * C * L

    @kernel(constants=(width,))
    def backward(dy: floats, x: floats, y: floats, mean: floats, rstd: floats, weight: floats,
                 dw: floats, db: floats, dx: floats, dresidual: floats, N: int32, C: int32,
                 L: int32, at_once: int32, has_dresidual: int32, has_gate: int32, low: float32,
                 high: float32, share: float32):
        i = cuda.grid(1)
        plane, _ = divided(i, L)
        image, c = divided(plane, C)
        if image >= at_once:
            return
        middle, scale = mean[c], weight[c] * rstd[c]
        less, slope = db[c] * share, rstd[c] * dw[c] * share
        while image < N:
            at = i * width
            a, g = get(x, at), get(dy, at)
            g0, g1, g2, g3 = g
            if has_gate:
                o = get(y, at)
                g0, g1 = _gated(g0, o[0], low, high), _gated(g1, o[1], low, high)
                g2, g3 = _gated(g2, o[2], low, high), _gated(g3, o[3], low, high)
            if has_dresidual:
                put(dresidual, at, (g0, g1, g2, g3))
            if share > ZERO:
                g0, g1 = g0 - less - (a[0] - middle) * slope, g1 - less - (a[1] - middle) * slope
                g2, g3 = g2 - less - (a[2] - middle) * slope, g3 - less - (a[3] - middle) * slope
            put(dx, at, (g0 * scale, g1 * scale, g2 * scale, g3 * scale))
            image, i = image + at_once, i + at_once * C * L

    return forward, backward


_sums_by = {(width, images): _sums(width, images) for width, images in ((4, 1), (1, 4), (1, 1))}
_passes_by = {width: _passes(width) for width in (1, 4)}


def _width(L, *arrays):
    """How many elements of a channel of an image to take at a time."""
    return 4 if in_fours(L, *arrays) else 1


def _summing(x, blocks, *others):
    """The kernels of sums for these arrays, their grid, and the sizes that they are told."""
    N, C, L = x.shape
    width = _width(L, x, *others)
    images = 4 if width == 1 and N % 4 == 0 else 1
    N, L = N // images, L // width
    count, at_once = _parts(N, C, L, blocks)
    return _sums_by[width, images], (count, C), (N, C, L, at_once)


def _bounds(cap):
    """Of what a ReLU lets through; NaN for none."""
    if cap is None:
        return math.nan, math.nan
    return 0.0, cap if math.isfinite(cap) else math.nan


def _forward(x, residual, mean, rstd, weight, bias, y, cap, variance_eps):
    N, C, L = x.shape
    width = _width(L, x, residual, y)
    run, _ = _passes_by[width]
    blocks, at_once = in_step(N, C * L // width)
    run[blocks](x, residual, mean, rstd, weight, bias, y, N, C, L // width, at_once,
                residual is not None, *_bounds(cap), variance_eps)


def batch_norm(x, weight, bias, residual, running_mean, running_var, y, mean, rstd, momentum, eps,
               cap, moments=None):
    N, C, L = x.shape
    parts, count = _of_parts(x) if moments is None else (_of_moments(moments, N * L), 1)
    _finish_statistics[warps_for(C)](parts, count, C, mean, rstd, running_mean, running_var,
                                     running_mean is not None, momentum, eps)
    _forward(x, residual, mean, rstd, weight, bias, y, cap, -1.0)


def _of_parts(x):
    """Number, mean and squared distances of the parts of each channel, and how many parts."""
    (run, _), (count, C), sizes = _summing(x, 8)
    parts = empty((C, count, 3))
    run[count, C](x, parts, *sizes)
    return parts, count


def _of_moments(moments, n):
    C = moments.shape[1]
    parts = empty((C, 1, 3))
    _as_part[blocks_for(C)](moments, parts, C, n)
    return parts


def fill_moments(y, moments):
    """Fill `moments` (2, C) with mean and variance of the channels of `y` (N, C, L)."""
    parts, count = _of_parts(y)
    _as_moments[warps_for(y.shape[1])](parts, count, y.shape[1], moments)


def batch_norm_inference(x, weight, bias, mean, var, residual, y, eps, cap):
    _forward(x, residual, mean, var, weight, bias, y, cap, eps)


def add_parts(parts, dw, db):
    """Fill `db` and `dw` with the sums of parts (C, count, 2)."""
    C, count, _ = parts.shape
    _finish_gradients[warps_for(C)](parts, count, C, dw, db)


def batch_norm_backward(dy, x, y, weight, mean, rstd, dx, dresidual, dw, db, training, cap):
    N, C, L = x.shape
    gate = y is not None, *_bounds(cap if y is not None else None)
    (_, sums), (count, _), sizes = _summing(x, 4, dy, y)
    parts = empty((C, count, 2))
    sums[count, C](dy, x, y, mean, rstd, parts, *sizes, *gate)
    add_parts(parts, dw, db)
    width = _width(L, dy, x, y, dx, dresidual)
    _, run = _passes_by[width]
    blocks, at_once = in_step(N, C * L // width)
    run[blocks](dy, x, y, mean, rstd, weight, dw, db, dx, dresidual, N, C, L // width, at_once,
                dresidual is not None, *gate, 1 / (N * L) if training and N * L else 0.0)
