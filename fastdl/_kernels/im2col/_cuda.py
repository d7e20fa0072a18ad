"""im2col and col2im on the device; reference.py says what they are.

Threads lie next to each other where `col` does: in the pixels of a tap, or in the taps of a pixel.
What depends on a thread's place is computed once. On the way back each cell of the image collects
what came from it, so nothing is added by two threads. A kernel's size is a constant of its kernels.
"""

from functools import cache

import numpy as np

from ...cuda._device import (
    ZERO,
    clamped,
    cuda,
    device,
    divided,
    float32,
    floats,
    in_step,
    inside,
    int32,
    kernel,
)


@device
def _cell(x, row, h, w, H, W):
    """x at (h, w) of a map whose row h begins at `row`, or 0 beside it."""
    value = ZERO
    if inside(h, H) and inside(w, W):
        value = x[row + w]
    return value


@cache
def _by_tap(KH, KW):
    @kernel(blocks=4, constants=(KH, KW))
    def by_tap(x: floats, col: floats, planes: int32, at_once: int32, H: int32, W: int32,
               OH: int32, OW: int32, SH: int32, SW: int32, PH: int32, PW: int32, DH: int32,
               DW: int32):
        """col (N C KH KW, OH OW): a thread does all taps of its pixel, of one plane and another."""
        pixels = OH * OW
        plane, pixel = divided(cuda.grid(1), pixels)
        if plane >= at_once:
            return
        oh, ow = divided(pixel, OW)
        top, left = oh * SH - PH, ow * SW - PW
        values = cuda.local.array(KW, float32)
        source, at = plane * H * W, plane * (KH * KW) * pixels + pixel
        while plane < planes:
            for kh in range(KH):
                h = top + kh * DH
                for kw in range(KW):
                    values[kw] = _cell(x, source + h * W, h, left + kw * DW, H, W)
                for kw in range(KW):
                    col[at + (kh * KW + kw) * pixels] = values[kw]
            plane, source = plane + at_once, source + at_once * H * W
            at += at_once * (KH * KW) * pixels

    return by_tap


@kernel()
def _by_pixel(x: floats, col: floats, rows: int32, at_once: int32, C: int32, H: int32, W: int32,
              OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32,
              PW: int32, DH: int32, DW: int32):
    """col (N OH OW, C KH KW): a thread does its tap of the pixels of one row and another."""
    taps = C * KH * KW
    row, tap = divided(cuda.grid(1), taps)
    if row >= at_once:
        return
    rest, kw = divided(tap, KW)
    c, kh = divided(rest, KH)
    left = kw * DW - PW
    while row < rows:
        image, oh = divided(row, OH)
        h = oh * SH - PH + kh * DH
        begin, at = ((image * C + c) * H + h) * W, row * OW * taps + tap
        w, end = np.int32(left), np.int32(left + OW * SW)
        while w < end:
            col[at] = _cell(x, begin, h, w, H, W)
            w, at = np.int32(w + SW), at + taps
        row += at_once


@cache
def _from_col(KH, KW, SH, SW):
    @kernel(constants=(KH, KW, SH, SW))
    def collect(col: floats, x: floats, planes: int32, at_once: int32, by_pixel: int32, C: int32,
                H: int32, W: int32, OH: int32, OW: int32, PH: int32, PW: int32, DH: int32,
                DW: int32):
        i, taps, pixels = cuda.grid(1), C * KH * KW, OH * OW
        rest, w = divided(i, W)
        plane, h = divided(rest, H)
        if plane >= at_once:
            return
        while plane < planes:
            image, c = divided(plane, C)
            # From a pixel to the next, from a tap to the next, and tap 0 of the plane.
            next_pixel, next_tap, begin = 1, pixels, plane * (KH * KW) * pixels
            if by_pixel:
                next_pixel, next_tap, begin = taps, 1, image * pixels * taps + c * (KH * KW)
            total = ZERO
            for kh in range(KH):
                for kw in range(KW):
                    down, along = h + PH - kh * DH, w + PW - kw * DW
                    oh, ow = down // SH, along // SW
                    pixel = clamped(oh, OH) * OW + clamped(ow, OW)
                    value = col[begin + pixel * next_pixel + (kh * KW + kw) * next_tap]
                    if oh * SH == down and ow * SW == along and inside(oh, OH) and inside(ow, OW):
                        total += value
            x[i] = total
            plane, i = plane + at_once, i + at_once * H * W

    return collect


def im2col(x, col, kernel, stride, padding, dilation, output, transpose):
    N, C, H, W = x.shape
    (KH, KW), (OH, OW) = kernel, output
    if transpose:
        blocks, at_once = in_step(N * OH, C * KH * KW)
        _by_pixel[blocks](x, col, N * OH, at_once, C, H, W, OH, OW, KH, KW, *stride, *padding,
                          *dilation)
    else:
        blocks, at_once = in_step(N * C, OH * OW)
        _by_tap(KH, KW)[blocks](x, col, N * C, at_once, H, W, OH, OW, *stride, *padding, *dilation)


def col2im(col, x, kernel, stride, padding, dilation, output, transpose):
    N, C, H, W = x.shape
    blocks, at_once = in_step(N * C, H * W)
    _from_col(*kernel, *stride)[blocks](col, x, N * C, at_once, bool(transpose), C, H, W, *output,
                                        *padding, *dilation)
