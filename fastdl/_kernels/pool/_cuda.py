"""Pooling on the device: a thread for each output, and backward for the cells between windows.

So backward needs no atomic additions, and gives the same sums each time; reference.py says which.
A window's size and stride are constants of its kernels: all its cells are read before the first is
compared. A thread stays at its place of the maps and goes from one map to another.
"""

from functools import cache

import numpy as np

from ...cuda._device import (
    ONE,
    ZERO,
    ByRow,
    clamped,
    cuda,
    device,
    divided,
    float32,
    floats,
    in_step,
    inside,
    int32,
    ints,
    kernel,
    octets,
    store2,
)

_INFINITY = np.float32(np.inf)
_OF = {np.dtype(np.uint8): octets, np.dtype(np.int32): ints}


@cache
def _max_pool(dtype, KH, KW, SH, SW):
    """The kernel for indices of this dtype."""
    kind = _OF[dtype]

    @kernel(constants=(dtype.name, KH, KW, SH, SW))
    def forward(x: floats, y: floats, argmax: kind, planes: int32, at_once: int32,
                has_argmax: int32, H: int32, W: int32, OH: int32, OW: int32, PH: int32, PW: int32):
        o = cuda.grid(1)
        rest, ow = divided(o, OW)
        plane, oh = divided(rest, OH)
        if plane >= at_once:
            return
        top, left, source = oh * SH - PH, ow * SW - PW, plane * H * W
        while plane < planes:
            best, where = ZERO, 0
            for kh in range(KH):
                for kw in range(KW):
                    # A cell of the padding stands for the nearest of the image, which no window
                    # is without. The first counts, then what is larger; NaN once and for all.
                    h, w = clamped(top + kh, H), clamped(left + kw, W)
                    value = x[source + h * W + w]
                    if kh + kw == 0 or (not value <= best and best == best):
                        best, where = value, (h - top) * KW + w - left
            y[o] = best
            if has_argmax:
                argmax[o] = where
            plane, o, source = plane + at_once, o + at_once * OH * OW, source + at_once * H * W

    return forward


def _places(x, y, padding):
    """Planes, and what kernels must know of them."""
    return *x.shape[2:], *y.shape[2:], *padding


def max_pool2d(x, y, argmax, kernel, stride, padding):
    forward = _max_pool(np.dtype(np.uint8) if argmax is None else argmax.dtype, *kernel, *stride)
    N, C, OH, OW = y.shape
    blocks, at_once = in_step(N * C, OH * OW)
    forward[blocks](x, y, argmax, N * C, at_once, argmax is not None, *_places(x, y, padding))


@device
def _cells(begin, size, limit, padding, count_padding):
    """The cells along one axis that an average divides by, of a window that begins here."""
    end = min(begin + size, limit + padding)
    return end - begin if count_padding else min(end, limit) - max(begin, 0)


@cache
def _avg_pool(KH, KW, SH, SW):
    @kernel(constants=(KH, KW, SH, SW))
    def forward(x: floats, y: floats, planes: int32, at_once: int32, count_padding: int32, H: int32,
                W: int32, OH: int32, OW: int32, PH: int32, PW: int32):
        o = cuda.grid(1)
        rest, ow = divided(o, OW)
        plane, oh = divided(rest, OH)
        if plane >= at_once:
            return
        top, left, source = oh * SH - PH, ow * SW - PW, plane * H * W
        cells = np.float32(_cells(top, KH, H, PH, count_padding)
                           * _cells(left, KW, W, PW, count_padding))
        while plane < planes:
            total = ZERO
            for kh in range(KH):
                for kw in range(KW):
                    value = x[source + clamped(top + kh, H) * W + clamped(left + kw, W)]
                    if inside(top + kh, H) and inside(left + kw, W):
                        total += value
            y[o] = total / cells
            plane, o, source = plane + at_once, o + at_once * OH * OW, source + at_once * H * W

    return forward


def avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    forward = _avg_pool(*kernel, *stride)
    N, C, OH, OW = y.shape
    blocks, at_once = in_step(N * C, OH * OW)
    forward[blocks](x, y, N * C, at_once, count_include_pad, *_places(x, y, padding))


# ---- back from windows ----

@cache
def _backward(dtype, gated, pairs, KH, KW, SH, SW, PH, PW):
    """The kernel for indices of this dtype; of averages, where there are none.

    A thread makes SH by SW cells, so that all threads' lie alike among the windows: those that
    reach them are rows `first_h`, `first_h` + 1, ... of dy, counted from the thread's own, and at
    which cell of a window each of them is, is known to the compiler. `gated`: y is there. `pairs`:
    cells can be written by two.
    """
    average, kind, cells = dtype is None, _OF.get(dtype, octets), SH * SW
    first_h, first_w = (PH - KH) // SH + 1, (PW - KW) // SW + 1
    windows_h, windows_w = (SH - 1 + PH) // SH + 1 - first_h, (SW - 1 + PW) // SW + 1 - first_w

    @kernel(constants=(str(dtype), gated, pairs, KH, KW, SH, SW, PH, PW))
    def backward(dy: floats, argmax: kind, y: floats, dx: floats, planes: int32, at_once: int32,
                 count_padding: int32, H: int32, W: int32, OH: int32, OW: int32):
        down, across = (H - 1) // SH + 1, (W - 1) // SW + 1
        rest, right = divided(cuda.grid(1), across)
        plane, below = divided(rest, down)
        if plane >= at_once:
            return
        h, w, source = below * SH, right * SW, plane * OH * OW
        i = (plane * H + h) * W + w
        sums = cuda.local.array(cells, float32)
        while plane < planes:
            for s in range(cells):
                sums[s] = ZERO
            for up in range(first_h, first_h + windows_h):
                for back in range(first_w, first_w + windows_w):
                    oh, ow = below + up, right + back
                    o = source + clamped(oh, OH) * OW + clamped(ow, OW)
                    value = dy[o]
                    if average:
                        value *= ONE / np.float32(
                            _cells(oh * SH - PH, KH, H, PH, count_padding)
                            * _cells(ow * SW - PW, KW, W, PW, count_padding))
                    else:
                        chosen = argmax[o]
                    if not (inside(oh, OH) and inside(ow, OW)) or (gated and y[o] <= ZERO):
                        value = ZERO
                    for r in range(SH):
                        for c in range(SW):
                            kh, kw = r + PH - up * SH, c + PW - back * SW
                            if 0 <= kh < KH and 0 <= kw < KW and (
                                    average or chosen == kh * KW + kw):
                                sums[r * SW + c] += value
            for r in range(SH):
                for c in range(SW):
                    s = r * SW + c
                    if h + r < H and w + c < W:
                        if not pairs:
                            dx[i + r * W + c] = sums[s]
                        elif c % 2 == 0:
                            store2(dx, i + r * W + c, (sums[s], sums[s + 1]))
            plane, i, source = plane + at_once, i + at_once * H * W, source + at_once * OH * OW

    return backward


def max_pool2d_backward(dy, argmax, y, dx, kernel, stride, padding):
    _to_cells(dy, argmax, y, dx, kernel, stride, padding, False)


def avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    _to_cells(dy, None, None, dx, kernel, stride, padding, count_include_pad)


def _to_cells(dy, argmax, y, dx, kernel, stride, padding, count_padding):
    N, C, H, W = dx.shape
    pairs = stride[1] % 2 == 0 and W % stride[1] == 0 and dx.address % 8 == 0
    run = _backward(None if argmax is None else argmax.dtype, y is not None, pairs, *kernel,
                    *stride, *padding)
    blocks, at_once = in_step(N * C, -(-H // stride[0]) * -(-W // stride[1]))
    run[blocks](dy, argmax, y, dx, N * C, at_once, count_padding, H, W, *dy.shape[2:])


# ---- over whole maps ----

@ByRow
def _global_avg(team):
    size, team_sum, _ = team

    @kernel(constants=(size,))
    def global_avg(x: floats, y: floats, planes: int32, L: int32):
        plane, first = divided(cuda.grid(1), size)
        if plane >= planes:
            return
        total = ZERO
        for j in range(first, L, size):
            total += x[plane * L + j]
        total = team_sum(total)
        if first == 0:
            y[plane] = total / np.float32(L)

    return global_avg


@ByRow
def _global_max(team):
    size, _, team_max = team

    @kernel(constants=(size,))
    def global_max(x: floats, y: floats, argmax: ints, has_argmax: int32, planes: int32, L: int32):
        plane, first = divided(cuda.grid(1), size)
        if plane >= planes:
            return
        best, where = -_INFINITY, L
        for j in range(first, L, size):
            value = x[plane * L + j]
            # A first cell always counts, then what is larger; NaN once and for all.
            if where == L or (not value <= best and best == best):
                best, where = value, j
        largest = team_max(best)
        if first == 0:
            y[plane] = largest
        if has_argmax:
            # Of those that have it the first; numbers of cells are less than 2**24.
            has_it = best == largest or (best != best and largest != largest)
            where = -team_max(-np.float32(where if has_it else L))
            if first == 0:
                argmax[plane] = where

    return global_max


def _to_planes(largest):
    """The kernel that hands a plane's gradient to one cell, or the same part of it to all."""
    @kernel(constants=(largest,))
    def global_backward(dy: floats, argmax: ints, dx: floats, planes: int32, at_once: int32,
                        L: int32):
        i = cuda.grid(1)
        plane, place = divided(i, L)
        if plane >= at_once:
            return
        share = ONE / np.float32(L)
        while plane < planes:
            if largest:
                dx[i] = dy[plane] if argmax[plane] == place else ZERO
            else:
                dx[i] = dy[plane] * share
            plane, i = plane + at_once, i + at_once * L

    return global_backward


_to_all, _to_largest = map(_to_planes, (False, True))


def global_avg_pool2d(x, y):
    _global_avg(y.size, x.shape[2] * x.shape[3], x, y)


def global_max_pool2d(x, y, argmax):
    _global_max(y.size, x.shape[2] * x.shape[3], x, y, argmax, argmax is not None)


def global_avg_pool2d_backward(dy, dx):
    _backward_of_planes(_to_all, dy, None, dx)


def global_max_pool2d_backward(dy, argmax, dx):
    _backward_of_planes(_to_largest, dy, argmax, dx)


def _backward_of_planes(run, dy, argmax, dx):
    L = dx.shape[2] * dx.shape[3]
    blocks, at_once = in_step(dy.size, L)
    run[blocks](dy, argmax, dx, dy.size, at_once, L)
