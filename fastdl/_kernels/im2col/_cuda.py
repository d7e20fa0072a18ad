"""im2col and col2im on the device; reference.py says what they are.

A block goes along a row of `col`, which its threads write next to each other. On the way back each
cell of the image collects what came from it, so nothing is added by two threads.
"""

from ...cuda._device import ZERO, blocks_for, cuda, device, divided, floats, int32, int64, kernel

_ROWS = 32768                           # of blocks


@device
def _cell(x, plane, h, w, H, W):
    return x[(plane * H + h) * W + w] if 0 <= h < H and 0 <= w < W else ZERO


@kernel()
def _by_tap(x: floats, col: floats, rows: int64, H: int32, W: int32, OH: int32, OW: int32,
            KH: int32, KW: int32, SH: int32, SW: int32, PH: int32, PW: int32, DH: int32, DW: int32):
    """col (N C KH KW, OH OW)."""
    for row in range(cuda.blockIdx.y, rows, cuda.gridDim.y):
        rest, kw = divided(row, KW)
        plane, kh = divided(rest, KH)
        for i in range(cuda.grid(1), OH * OW, cuda.gridsize(1)):
            oh, ow = divided(i, OW)
            col[row * OH * OW + i] = _cell(x, plane, oh * SH - PH + kh * DH,
                                           ow * SW - PW + kw * DW, H, W)


@kernel()
def _by_pixel(x: floats, col: floats, rows: int64, C: int32, H: int32, W: int32, OH: int32,
              OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32, PW: int32,
              DH: int32, DW: int32):
    """col (N OH OW, C KH KW)."""
    for row in range(cuda.blockIdx.y, rows, cuda.gridDim.y):
        rest, ow = divided(row, OW)
        n, oh = divided(rest, OH)
        for i in range(cuda.grid(1), C * KH * KW, cuda.gridsize(1)):
            rest, kw = divided(i, KW)
            c, kh = divided(rest, KH)
            col[row * C * KH * KW + i] = _cell(x, n * C + c, oh * SH - PH + kh * DH,
                                               ow * SW - PW + kw * DW, H, W)


@kernel()
def _collect(col: floats, x: floats, n: int64, by_pixel: int32, C: int32, H: int32, W: int32,
             OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32, PW: int32,
             DH: int32, DW: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, w = divided(i, W)
        plane, h = divided(rest, H)
        image, c = divided(plane, C)
        total = ZERO
        for kh in range(KH):
            oh = h + PH - kh * DH
            if oh >= 0 and oh % SH == 0 and oh // SH < OH:
                for kw in range(KW):
                    ow = w + PW - kw * DW
                    if ow >= 0 and ow % SW == 0 and ow // SW < OW:
                        pixel, tap = oh // SH * OW + ow // SW, (c * KH + kh) * KW + kw
                        if by_pixel:
                            total += col[(image * OH * OW + pixel) * C * KH * KW + tap]
                        else:
                            total += col[(image * C * KH * KW + tap) * OH * OW + pixel]
        x[i] = total


def im2col(x, col, kernel, stride, padding, dilation, output, transpose):
    N, C, H, W = x.shape
    taps, pixels = C * kernel[0] * kernel[1], output[0] * output[1]
    window = (H, W, *output, *kernel, *stride, *padding, *dilation)
    if transpose:
        rows = N * pixels
        _by_pixel[blocks_for(taps), min(rows, _ROWS)](x, col, rows, C, *window)
    else:
        rows = N * taps
        _by_tap[blocks_for(pixels), min(rows, _ROWS)](x, col, rows, *window)


def col2im(col, x, kernel, stride, padding, dilation, output, transpose):
    C, H, W = x.shape[1:]
    _collect[blocks_for(x.size)](col, x, x.size, bool(transpose), C, H, W, *output, *kernel,
                                 *stride, *padding, *dilation)
