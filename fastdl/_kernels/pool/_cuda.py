"""Pooling on the device: a thread for each output, and backward for each cell of the input.

So backward needs no atomic additions, and gives the same sums each time; reference.py says which.
"""

import numpy as np

from ...cuda._device import (
    ZERO,
    block_sum,
    blocks_for,
    cuda,
    device,
    divided,
    floats,
    int32,
    int64,
    ints,
    kernel,
    octets,
)

_INFINITY = np.float32(np.inf)


def _max_pool(kind, name):
    """The kernel for indices of this kind."""
    @kernel(constants=(name,))
    def forward(x: floats, y: floats, argmax: kind, n: int64, has_argmax: int32, H: int32,
                W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32,
                PH: int32, PW: int32):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            rest, ow = divided(i, OW)
            plane, oh = divided(rest, OH)
            top, left = oh * SH - PH, ow * SW - PW
            best, where = -_INFINITY, -1
            for h in range(max(top, 0), min(top + KH, H)):
                for w in range(max(left, 0), min(left + KW, W)):
                    value = x[(plane * H + h) * W + w]
                    # A first cell always counts, then what is larger; NaN once and for all.
                    if where < 0 or (not value <= best and best == best):
                        best, where = value, (h - top) * KW + w - left
            y[i] = best
            if has_argmax:
                argmax[i] = where

    @kernel(constants=(name,))
    def backward(dy: floats, argmax: kind, y: floats, dx: floats, n: int64, has_gate: int32,
                 H: int32, W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32,
                 SW: int32, PH: int32, PW: int32):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            rest, w = divided(i, W)
            plane, h = divided(rest, H)
            total = ZERO
            for oh in range(_first(h + PH, KH, SH), min((h + PH) // SH + 1, OH)):
                for ow in range(_first(w + PW, KW, SW), min((w + PW) // SW + 1, OW)):
                    o = (plane * OH + oh) * OW + ow
                    here = (h + PH - oh * SH) * KW + w + PW - ow * SW
                    if argmax[o] == here and not (has_gate and y[o] <= ZERO):
                        total += dy[o]
            dx[i] = total

    return forward, backward


@device
def _first(place, size, stride):
    """The first window that a cell lies in; `place` counts from the beginning of the padding."""
    return (place - size + stride) // stride if place >= size else 0


_BY_KIND = {np.dtype(np.uint8): _max_pool(octets, "octets"),
            np.dtype(np.int32): _max_pool(ints, "ints")}


def _sizes(x, y, kernel, stride, padding):
    return (*x.shape[2:], *y.shape[2:], *kernel, *stride, *padding)


def max_pool2d(x, y, argmax, kernel, stride, padding):
    forward, _ = _BY_KIND[np.dtype(np.uint8) if argmax is None else argmax.dtype]
    forward[blocks_for(y.size)](x, y, argmax, y.size, argmax is not None,
                                *_sizes(x, y, kernel, stride, padding))


def max_pool2d_backward(dy, argmax, y, dx, kernel, stride, padding):
    _, backward = _BY_KIND[argmax.dtype]
    backward[blocks_for(dx.size)](dy, argmax, y, dx, dx.size, y is not None,
                                  *_sizes(dx, dy, kernel, stride, padding))


@device
def _cells(begin, size, limit, padding, count_padding):
    """The cells along one axis that an average divides by, of a window that begins here."""
    end = min(begin + size, limit + padding)
    return end - begin if count_padding else min(end, limit) - max(begin, 0)


@kernel()
def _avg_pool(x: floats, y: floats, n: int64, count_padding: int32, H: int32, W: int32, OH: int32,
              OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32, PW: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, ow = divided(i, OW)
        plane, oh = divided(rest, OH)
        top, left = oh * SH - PH, ow * SW - PW
        total = ZERO
        for h in range(max(top, 0), min(top + KH, H)):
            for w in range(max(left, 0), min(left + KW, W)):
                total += x[(plane * H + h) * W + w]
        y[i] = total / np.float32(_cells(top, KH, H, PH, count_padding)
                                  * _cells(left, KW, W, PW, count_padding))


@kernel()
def _avg_pool_backward(dy: floats, dx: floats, n: int64, count_padding: int32, H: int32, W: int32,
                       OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32,
                       PW: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, w = divided(i, W)
        plane, h = divided(rest, H)
        total = ZERO
        for oh in range(_first(h + PH, KH, SH), min((h + PH) // SH + 1, OH)):
            for ow in range(_first(w + PW, KW, SW), min((w + PW) // SW + 1, OW)):
                total += dy[(plane * OH + oh) * OW + ow] / np.float32(
                    _cells(oh * SH - PH, KH, H, PH, count_padding)
                    * _cells(ow * SW - PW, KW, W, PW, count_padding))
        dx[i] = total


def avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    _avg_pool[blocks_for(y.size)](x, y, y.size, count_include_pad,
                                  *_sizes(x, y, kernel, stride, padding))


def avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    _avg_pool_backward[blocks_for(dx.size)](dy, dx, dx.size, count_include_pad,
                                            *_sizes(dx, dy, kernel, stride, padding))


# ---- over whole maps: a block for each ----

@kernel()
def _global_avg(x: floats, y: floats, L: int32):
    total = ZERO
    for j in range(cuda.threadIdx.x, L, cuda.blockDim.x):
        total += x[np.int64(cuda.blockIdx.x) * L + j]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        y[cuda.blockIdx.x] = total / np.float32(L)


@kernel()
def _global_avg_backward(dy: floats, dx: floats, n: int64, L: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        plane, _ = divided(i, L)
        dx[i] = dy[plane] / np.float32(L)


@kernel()
def _global_max(x: floats, y: floats, argmax: ints, n: int64, has_argmax: int32, L: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        best, where = x[i * L], 0
        for j in range(1, L):
            value = x[i * L + j]
            if not value <= best and best == best:
                best, where = value, j
        y[i] = best
        if has_argmax:
            argmax[i] = where


@kernel()
def _global_max_backward(dy: floats, argmax: ints, dx: floats, n: int64, L: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        plane, place = divided(i, L)
        dx[i] = dy[plane] if argmax[plane] == place else ZERO


def global_avg_pool2d(x, y):
    _global_avg[y.size](x, y, x.shape[2] * x.shape[3])


def global_avg_pool2d_backward(dy, dx):
    _global_avg_backward[blocks_for(dx.size)](dy, dx, dx.size, dx.shape[2] * dx.shape[3])


def global_max_pool2d(x, y, argmax):
    _global_max[blocks_for(y.size)](x, y, argmax, y.size, argmax is not None,
                                    x.shape[2] * x.shape[3])


def global_max_pool2d_backward(dy, argmax, dx):
    _global_max_backward[blocks_for(dx.size)](dy, argmax, dx, dx.size, dx.shape[2] * dx.shape[3])
