"""Convolution and its gradients on the device, on planes; reference.py says what they are.

The plain kernels do what the formula says, a thread (for the filters' gradient: a block) for each
element of the result. They serve groups of few channels, depthwise convolution above all.

The others are matrix products whose second factor is never written (implicit im2col): a block of
fastdl/cuda/_tile.py gathers it from the image while it brings tiles into shared memory.

    forward     filters (OC, terms) times receptive fields (terms, pixels of y)
    to x        filters (C, terms) times what reaches a pixel (terms, pixels of x)
    to w        dy (OC, pixels of y) times receptive fields (pixels of y, C KH KW)

The first two are one kernel: a term is a tap and a channel, all channels of a tap in a row, and
filters are copied into that order first. Forward, tap kh of output oh reads row oh SH - PH + kh DH;
backward, row h was reached from (h + PH - kh DH) / SH, where that is whole.

For 1x1 convolutions nothing need be gathered: they are left to cuBLASLt where it is faster.
"""

from functools import cache

import numpy as np

from ...cuda._array import empty
from ...cuda._cublas import Problem, are_apart, faster, library, prepared
from ...cuda._device import (
    SIMULATED,
    THREADS,
    ZERO,
    block_sum,
    blocks_for,
    cuda,
    device,
    divided,
    float32,
    floats,
    int32,
    int64,
    kernel,
    longs,
)
from ...cuda._driver import driver
from ...cuda._sums import EACH, SUMS, clear
from ...cuda._tile import part_of, tile_and_parts
from ..batchnorm._cuda import fill_moments
from ..pool._cuda import max_pool2d, max_pool2d_backward
from .reference import convolve_then_pool, unpooled

_FEWEST = 4 if SIMULATED else 16        # channels of a group, on both sides, for tiles


# ---- the plain kernels ----

@kernel()
def _forward(x: floats, w: floats, b: floats, residual: floats, y: floats, n: int64, has_b: int32,
             has_residual: int32, relu: int32, C: int32, G: int32, OC: int32, OG: int32, H: int32,
             W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32,
             PW: int32, DH: int32, DW: int32):
    """G and OG are the channels of a group of x and of y."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, ow = divided(i, OW)
        rest, oh = divided(rest, OH)
        image, oc = divided(rest, OC)
        channel = oc // OG * G
        total = ZERO
        for c in range(G):
            for kh in range(KH):
                h = oh * SH - PH + kh * DH
                if 0 <= h < H:
                    for kw in range(KW):
                        v = ow * SW - PW + kw * DW
                        if 0 <= v < W:
                            total += (w[((oc * G + c) * KH + kh) * KW + kw]
                                      * x[((image * C + channel + c) * H + h) * W + v])
        if has_b:
            total += b[oc]
        if has_residual:
            total += residual[i]
        y[i] = ZERO if relu and total <= ZERO else total


@kernel()
def _to_input(dy: floats, w: floats, residual: floats, gate: floats, dx: floats, n: int64,
              has_residual: int32, has_gate: int32, C: int32, G: int32, OC: int32, OG: int32,
              H: int32, W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32,
              PH: int32, PW: int32, DH: int32, DW: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, v = divided(i, W)
        rest, h = divided(rest, H)
        image, c = divided(rest, C)
        group, inner = c // G, c % G
        total = ZERO
        for kh in range(KH):
            oh = h + PH - kh * DH
            if oh >= 0 and oh % SH == 0 and oh // SH < OH:
                for kw in range(KW):
                    ow = v + PW - kw * DW
                    if ow >= 0 and ow % SW == 0 and ow // SW < OW:
                        for oc in range(group * OG, (group + 1) * OG):
                            total += (w[((oc * G + inner) * KH + kh) * KW + kw]
                                      * dy[((image * OC + oc) * OH + oh // SH) * OW + ow // SW])
        if has_residual:
            total += residual[i]
        dx[i] = ZERO if has_gate and gate[i] <= ZERO else total


@kernel()
def _to_weight(dy: floats, x: floats, dw: floats, N: int32, C: int32, G: int32, OC: int32,
               OG: int32, H: int32, W: int32, OH: int32, OW: int32, KH: int32, KW: int32,
               SH: int32, SW: int32, PH: int32, PW: int32, DH: int32, DW: int32):
    """A block for each element of dw."""
    rest, kw = divided(cuda.blockIdx.x, KW)
    rest, kh = divided(rest, KH)
    oc, c = divided(rest, G)
    channel = oc // OG * G + c
    total = ZERO
    for i in range(cuda.threadIdx.x, np.int64(N) * OH * OW, cuda.blockDim.x):
        rest, ow = divided(i, OW)
        image, oh = divided(rest, OH)
        h, v = oh * SH - PH + kh * DH, ow * SW - PW + kw * DW
        if 0 <= h < H and 0 <= v < W:
            total += (dy[((image * OC + oc) * OH + oh) * OW + ow]
                      * x[((image * C + channel) * H + h) * W + v])
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        dw[cuda.blockIdx.x] = total


@kernel()
def _to_bias(dy: floats, sums: floats, N: int32, OC: int32, L: int32):
    """A block for each channel, and for a part of what it has."""
    oc, total = cuda.blockIdx.y, ZERO
    for i in range(cuda.grid(1), np.int64(N) * L, cuda.gridsize(1)):
        image, place = divided(i, L)
        total += dy[(image * OC + oc) * L + place]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x * OC + oc] = total


@kernel()
def _added_up(parts: floats, b: floats, residual: floats, gate: floats, y: floats, n: int64,
              count: int32, has_b: int32, has_residual: int32, has_gate: int32, relu: int32,
              channels: int32, L: int32):
    """The sums of all parts, finished; all maps are as y is."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        total = ZERO
        for part in range(count):
            total += parts[part * n + i]
        plane, _ = divided(i, L)
        one = cuda.local.array(1, float32)
        one[0] = total
        _finish(one, 0, 1, b[plane % channels] if has_b else ZERO, residual, gate, i, has_residual,
                has_gate, relu)
        y[i] = one[0]


@device
def _finish(row, e, count, b, residual, gate, i, has_residual, has_gate, relu):
    """So many elements of y or dx from their sums; `b` is their channel's, i is where they lie."""
    for q in range(e, e + count):
        row[q] += b
    if has_residual:
        for q in range(count):
            row[e + q] += residual[i + q]
    if relu:
        for q in range(e, e + count):
            row[q] = ZERO if row[q] <= ZERO else row[q]
    if has_gate:
        for q in range(count):
            row[e + q] = ZERO if gate[i + q] <= ZERO else row[e + q]


# ---- in tiles: which number of x a tap of a pixel reads ----
#
# Pixel j of y and tap (c, kh, kw) meet at x[offset of the pixel + offset of the tap], unless they
# have a bit in common: a tap has one for its row of taps and one for its column of them, a pixel
# those of the rows and columns that read outside of the image for it, and one more, for no tap.

_MOST_TAPS = 15                         # along an axis, so that there are bits enough
_COLUMNS = 16                           # where the bits of columns begin
_NO_TAP = -(1 << 31)
_NO_PIXEL = -1


@device
def _outside(extent, taps, first, stride, dilation):
    """Bits of taps: tap k reads number (first + k dilation) / stride, where that is whole."""
    bits = 0
    for k in range(taps):
        at = first + k * dilation
        if at < 0 or at >= extent * stride or (stride > 1 and at % stride > 0):
            bits |= 1 << k
    return bits


@device
def _pixel(j, window):
    """Offset and bits of a pixel of y, and where it lies in y: image and place."""
    (count, L, YW, image_step, H, W, KH, KW, step_h, step_w, start_h, start_w, SH, SW, DH,
     DW) = window
    image, place = divided(j, L)
    i, i2 = divided(place, YW)
    top, left = i * step_h + start_h, i2 * step_w + start_w
    bits = _outside(H, KH, top, SH, DH) | _outside(W, KW, left, SW, DW) << _COLUMNS | _NO_TAP
    offset = image * image_step + top // SH * W + left // SW
    return offset, bits if j < count else _NO_PIXEL, image, place


@device
def _tap(c, kh, kw, window):
    """Offset and bits of a tap."""
    _, _, _, _, H, W, _, _, _, _, _, _, SH, SW, DH, DW = window
    offset = (c * H - (-kh * DH) // SH) * W - (-kw * DW) // SW
    return offset, 1 << kh | 1 << kw + _COLUMNS


@device
def _joined(offset, bits):
    """As one number of a table."""
    return np.int64(offset) << 32 | np.int64(bits) & 0xFFFFFFFF


@device
def _parted(entry):
    return np.int32(entry >> 32), np.int32(entry)


# ---- in tiles: forward, and to x ----

@cache
def _packing(tile):
    """The kernel that brings filters into the order of terms, as they go into shared memory."""
    rounded = tile.rounded

    @kernel(constants=tile.kind)
    def pack(w: floats, packed: floats, taps: longs, n: int64, G: int32, OG: int32, pitch: int32,
             KH: int32, KW: int32, to_x: int32, all_terms: int32, H: int32, W: int32, SH: int32,
             SW: int32, DH: int32, DW: int32):
        """Filters of each group as (taps, channels to sum over, channels of the result).

        And the table of terms, so many that no tile goes beyond it.
        """
        inner, outer = (OG, G) if to_x else (G, OG)
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            rest, o = divided(i, pitch)
            rest, c = divided(rest, inner)
            group, tap = divided(rest, KH * KW)
            oc, ic = (c, o) if to_x else (o, c)
            packed[i] = (rounded(w[((group * OG + oc) * G + ic) * KH * KW + tap]) if o < outer
                         else ZERO)
        for i in range(cuda.grid(1), all_terms, cuda.gridsize(1)):
            tap, c = divided(i, inner)
            kh, kw = divided(tap, KW)
            window = 0, 0, 0, 0, H, W, KH, KW, 0, 0, 0, 0, SH, SW, DH, DW
            offset, bits = _tap(c, kh, kw, window)
            taps[i] = _joined(offset, bits) if tap < KH * KW else _joined(0, _NO_TAP)

    return pack


def _gathering(tile):
    """A function that brings what the terms' taps read of a thread's pixels, and one to put it."""
    spread = tile.spread(along_terms=False)
    terms, pixels, term_of = spread.terms, spread.places, spread.term

    @device
    def gather(maps, k, last, t, numbers):
        x, taps, offsets, bits = maps
        for i in range(terms):
            offset, its_bits = _parted(taps[k + term_of(t, i)])
            for p in range(pixels):
                numbers[pixels * i + p] = ZERO
                if bits[p] & its_bits == 0:
                    numbers[pixels * i + p] = x[np.int32(offsets[p] + offset)]

    return gather, spread


@cache
def _gathered_product(tile, pointwise, aligned_maps):
    """The kernel of forward and to x.

    `pointwise`: filters are 1 by 1, and maps (inner, pixels) of each image, whose pixels come in
    fours that are read as such.
    """
    side, corner, piece, gap = tile.side, tile.corner, tile.piece, tile.column_gap
    store_piece = tile.store_piece
    together = piece if aligned_maps else 1
    gather, spread = _gathering(tile)
    pixels, place_of, fours = spread.places, spread.place, side // 4
    add_products = tile.sums_of(
        tile.brings(False, True), tile.puts(False, _as_packed),
        tile.brings(False, True) if pointwise else gather,
        tile.puts(False) if pointwise else spread.put)

    @device
    def store_row(row, down, given):
        (y, base, o, outer, group, L, places, b, residual, gate, has_b, has_residual, has_gate,
         relu) = given
        o += down
        if o < outer:
            channel = group * outer + o
            of_channel = b[channel] if has_b else ZERO
            for e in range(0, EACH, together):
                if places[e] >= 0:
                    i = places[e] + channel * L
                    _finish(row, e, together, of_channel, residual, gate, i, has_residual,
                            has_gate, relu)
                    if aligned_maps:
                        store_piece(y, base + i, row, e)
                    else:
                        y[base + i] = row[e]

    store_all = tile.each_row(store_row)

    @kernel(tile.threads, tile.blocks, (*tile.kind, pointwise, aligned_maps))
    def product(x: floats, packed: floats, taps: longs, b: floats, residual: floats, gate: floats,
                y: floats, count: int32, inner: int32, outer: int32, pitch: int32, groups: int32,
                H: int32, W: int32, L: int32, YW: int32, KH: int32, KW: int32, step_h: int32,
                step_w: int32, start_h: int32, start_w: int32, SH: int32, SW: int32, DH: int32,
                DW: int32, parts: int32, part_terms: int32, part_size: int64, has_b: int32,
                has_residual: int32, has_gate: int32, relu: int32):
        """Channels of a group: `inner` of x (H, W), `outer` of y, of L pixels in rows of YW.

        Of pixel (i, j) of y, tap (kh, kw) reads row (i step_h + start_h + kh DH) / SH of x, where
        that is whole, and so on.
        """
        sums = cuda.local.array(SUMS, float32)
        offsets = cuda.local.array(pixels, int32)
        bits = cuda.local.array(pixels, int32)
        places = cuda.local.array(EACH, int64)
        t = np.uint32(cuda.threadIdx.x)
        row, column = cuda.blockIdx.y * side, cuda.blockIdx.x * side
        group, part = divided(cuda.blockIdx.z, parts)
        window = (count, L, YW, groups * inner * H * W, H, W, KH, KW, step_h, step_w, start_h,
                  start_w, SH, SW, DH, DW)
        terms, first = KH * KW * inner, part * part_terms
        last = min(first + part_terms, terms)
        clear(sums)
        filters = packed, group * terms * pitch + row, pitch, pitch - row
        plane = H * W
        if pointwise:
            place = t % fours * 4
            offset, _, _, _ = _pixel(column + place, window)
            maps = x, offset + group * inner * plane - place, plane, count - column
        else:
            for p in range(pixels):
                offset, bits[p], _, _ = _pixel(column + place_of(t, p), window)
                offsets[p] = offset + group * inner * plane
            maps = x, taps, offsets, bits
        add_products(filters, maps, first, last, t, sums)
        down, along = corner(t)
        for e in range(0, EACH, together):
            j = column + along + e // piece * gap + e % piece
            image, place = divided(j, L)
            places[e] = image * groups * outer * L + place if j < count else -1
        store_all(sums, (y, part * part_size, row + down, outer, group, L, places, b, residual,
                         gate, has_b, has_residual, has_gate, relu))

    return product


@device
def _as_packed(x):
    """Filters are rounded already."""
    return x


def _has_fours(array, row):
    """Whether rows of so many elements can be read four at a time."""
    return array.address % 16 == 0 and row % 4 == 0


def _product(x, w, b, residual, gate, y, groups, to_x, steps, starts, strides, dilations, relu):
    """Forward, or to x."""
    def in_tiles(y):
        _in_tiles(x, w, b, residual, gate, y, groups, to_x, steps, starts, strides, dilations, relu)

    def by_library(y):
        _by_library(x, w, b, residual, gate, y, to_x, relu)

    compute, pointwise = in_tiles, steps == (1, 1) and starts == (0, 0)
    if library() and pointwise and _is_pointwise(x, w, y, groups) and are_apart(y, residual, gate):
        finish = [part is not None for part in (b, residual, gate)]
        problem = _of_images(x, w, y, to_x)[1]
        compute = faster(problem, f"conv2d {finish} relu={bool(relu)}", y, by_library, in_tiles)
    compute(y)


def _in_tiles(x, w, b, residual, gate, y, groups, to_x, steps, starts, strides, dilations, relu):
    (N, C, H, W), (_, OC, YH, YW) = x.shape, y.shape
    KH, KW = w.shape[2:]
    inner, outer = C // groups, OC // groups
    G, OG = (outer, inner) if to_x else (inner, outer)
    L, terms, columns = YH * YW, KH * KW * inner, N * YH * YW
    tile, parts = tile_and_parts(outer, columns, terms, max(1, driver().processors // groups))
    part_terms = part_of(terms, parts, tile)
    pitch = -(-outer // 4) * 4
    packed, taps = empty((groups * terms * pitch,)), empty((parts * part_terms,), np.int64)
    reach = *strides, *dilations
    _packing(tile)[blocks_for(max(packed.size, taps.size))](
        w, packed, taps, packed.size, G, OG, pitch, KH, KW, to_x, taps.size, H, W, *reach)
    whole = y if parts == 1 else empty((parts, *y.shape))
    pointwise = ((KH, KW, *steps, *starts, *strides) == (1, 1, 1, 1, 0, 0, 1, 1)
                 and (H, W) == (YH, YW) and _has_fours(x, L))
    run = _gathered_product(tile, pointwise, _has_fours(whole, L))
    window = (columns, inner, outer, pitch, groups, H, W, L, YW, KH, KW, *steps, *starts, *reach,
              parts, part_terms, y.size)
    blocks = -(-columns // tile.side), -(-outer // tile.side), groups * parts
    finish = b is not None, residual is not None, gate is not None, relu
    if parts == 1:
        run[blocks](x, packed, taps, b, residual, gate, y, *window, *finish)
        return
    run[blocks](x, packed, taps, None, None, None, whole, *window, 0, 0, 0, 0)
    _added_up[blocks_for(y.size)](whole, b, residual, gate, y, y.size, parts, *finish, OC, L)


# ---- 1x1 convolutions, by NVIDIA's library: a product for each image ----

def _is_pointwise(x, w, y, groups):
    """Whether it is one, but for the steps."""
    return groups == 1 and w.shape[2:] == (1, 1) and x.shape[2:] == y.shape[2:]


def _of_images(x, w, y, to_x):
    """Filters, the first image and its result as matrices, and their product."""
    matrices = w.reshape(w.shape[:2]), x[0].reshape(x.shape[1], -1), y[0].reshape(y.shape[1], -1)
    steps = 0, matrices[1].size, matrices[2].size
    return matrices, Problem.of(*matrices, trans_a=to_x, batch=len(x), steps=steps)


def _by_library(x, w, b, residual, gate, y, to_x, relu):
    (filters, image, result), problem = _of_images(x, w, y, to_x)
    prepared(problem)(filters, image, None, result)
    finish = b is not None, residual is not None, gate is not None, relu
    if any(finish):
        _added_up[blocks_for(y.size)](y, b, residual, gate, y, y.size, 1, *finish, *result.shape)


def _uses_tiles(w, groups, *maps):
    OC, G, KH, KW = w.shape
    return (OC // groups >= _FEWEST and G * KH * KW >= _FEWEST and max(KH, KW) <= _MOST_TAPS
            and all(0 < array.size < 1 << 31 for array in maps))


def _sizes(x, w, y, groups, stride, padding, dilation):
    return (x.shape[1], w.shape[1], y.shape[1], y.shape[1] // groups, *x.shape[2:], *y.shape[2:],
            *w.shape[2:], *stride, *padding, *dilation)


def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
           moments=None):
    _convolve(x, w, b, residual, y, stride, padding, dilation, groups, relu)
    if moments is not None:
        fill_moments(y.reshape(*y.shape[:2], -1), moments)


def conv2d_max_pool2d(x, w, b, y, argmax, stride, padding, dilation, relu, algorithm):
    convolve_then_pool(conv2d, max_pool2d, x, w, b, y, argmax, (stride, padding, dilation), relu,
                       algorithm, empty)


def _convolve(x, w, b, residual, y, stride, padding, dilation, groups, relu):
    if _uses_tiles(w, groups, x, y):
        starts = -padding[0], -padding[1]
        _product(x, w, b, residual, None, y, groups, False, stride, starts, (1, 1), dilation, relu)
        return
    _forward[blocks_for(y.size)](x, w, b, residual, y, y.size, b is not None, residual is not None,
                                 relu, *_sizes(x, w, y, groups, stride, padding, dilation))


def conv2d_backward_input(dy, w, residual, gate, dx, stride, padding, dilation, groups, algorithm,
                          argmax=None):
    dy = unpooled(dy, argmax, dx, w, (stride, padding, dilation), max_pool2d_backward, empty)
    if _uses_tiles(w, groups, dy, dx):
        back = -dilation[0], -dilation[1]
        _product(dy, w, None, residual, gate, dx, groups, True, (1, 1), padding, stride, back,
                 False)
        return
    _to_input[blocks_for(dx.size)](dy, w, residual, gate, dx, dx.size, residual is not None,
                                   gate is not None,
                                   *_sizes(dx, w, dy, groups, stride, padding, dilation))


# ---- in tiles: to w ----

@kernel()
def _table_of_pixels(table: longs, all_pixels: int32, N: int32, C: int32, OC: int32, H: int32,
                     W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32,
                     PH: int32, PW: int32, DH: int32, DW: int32):
    """Of each pixel its offset and bits, and where it lies in dy; -1 of those beyond the last."""
    window = N * OH * OW, OH * OW, OW, C * H * W, H, W, KH, KW, SH, SW, -PH, -PW, 1, 1, DH, DW
    for j in range(cuda.grid(1), all_pixels, cuda.gridsize(1)):
        offset, bits, image, place = _pixel(j, window)
        table[2 * j] = _joined(offset, bits)
        table[2 * j + 1] = image * OC * OH * OW + place if image < N else -1


@cache
def _weight_product(tile):
    """The kernel: terms are pixels, rows channels of dy, and columns taps."""
    spread, side, corner, piece, gap = (tile.spread(along_terms=True), tile.side, tile.corner,
                                        tile.piece, tile.column_gap)
    terms, places, term_of, place_of = spread.terms, spread.places, spread.term, spread.place

    @device
    def bring_dy(gradients, k, last, t, numbers):
        dy, table, origin, L, limit = gradients
        for i in range(terms):
            pixel = table[2 * (k + term_of(t, i)) + 1]
            for j in range(places):
                numbers[places * i + j] = ZERO
                if pixel >= 0 and place_of(t, j) < limit:
                    numbers[places * i + j] = dy[pixel + (origin + place_of(t, j) * L)]

    @device
    def gather(maps, k, last, t, numbers):
        x, table, offsets, bits = maps
        for i in range(terms):
            offset, its_bits = _parted(table[2 * (k + term_of(t, i))])
            for j in range(places):
                numbers[places * i + j] = ZERO
                if bits[j] & its_bits == 0:
                    numbers[places * i + j] = x[np.int32(offset + offsets[j])]

    add_products = tile.sums_of(bring_dy, spread.put, gather, spread.put)

    @device
    def store_row(row, down, given):
        dw, origin, oc, tap, rows, columns = given
        oc += down
        if oc < rows:
            for e in range(EACH):
                j = tap + e // piece * gap + e % piece
                if j < columns:
                    dw[origin + oc * columns + j] = row[e]

    store_all = tile.each_row(store_row)

    @kernel(tile.threads, tile.blocks, tile.kind)
    def product(dy: floats, x: floats, table: longs, dw: floats, count: int32, rows: int32,
                G: int32, H: int32, W: int32, L: int32, KH: int32, KW: int32, DH: int32, DW: int32,
                parts: int32, part_terms: int32, part_size: int64):
        sums = cuda.local.array(SUMS, float32)
        offsets = cuda.local.array(places, int32)
        bits = cuda.local.array(places, int32)
        t = np.uint32(cuda.threadIdx.x)
        row, column = cuda.blockIdx.y * side, cuda.blockIdx.x * side
        group, part = divided(cuda.blockIdx.z, parts)
        columns, first = G * KH * KW, part * part_terms
        last = min(first + part_terms, count)
        window = 0, 0, 0, 0, H, W, KH, KW, 0, 0, 0, 0, 1, 1, DH, DW
        for j in range(places):
            tap = column + place_of(t, j)
            rest, kw = divided(tap, KW)
            c, kh = divided(rest, KH)
            offsets[j], bits[j] = _tap(group * G + c, kh, kw, window)
            if tap >= columns:
                bits[j] = _NO_TAP
        clear(sums)
        add_products((dy, table, (group * rows + row) * L, L, rows - row),
                     (x, table, offsets, bits), first, last, t, sums)
        down, along = corner(t)
        store_all(sums, (dw, part * part_size + group * rows * columns, row + down, column + along,
                         rows, columns))

    return product


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm,
                           argmax=None):
    dy = unpooled(dy, argmax, x, dw, (stride, padding, dilation), max_pool2d_backward, empty)
    N = len(dy)
    if db is not None:
        _bias_gradient(dy, db)
    if not _uses_tiles(dw, groups, dy, x):
        _to_weight[dw.size](dy, x, dw, N, *_sizes(x, dw, dy, groups, stride, padding, dilation))
        return

    def in_tiles(dw):
        _to_weight_in_tiles(dy, x, dw, stride, padding, dilation, groups)

    def by_library(dw):
        _to_weight_by_library(dy, x, dw)

    compute, pointwise = in_tiles, tuple(stride) == (1, 1) and tuple(padding) == (0, 0)
    if library() and pointwise and _is_pointwise(x, dw, dy, groups) and (
            N * dw.size <= x.size + dy.size):
        problem = _of_gradients(dy, x, dw.reshape(dw.shape[:2]))[1]
        compute = faster(problem, "conv2d to w", dw, by_library, in_tiles)
    compute(dw)


def _to_weight_in_tiles(dy, x, dw, stride, padding, dilation, groups):
    (N, OC, OH, OW), (_, C, H, W) = dy.shape, x.shape
    G, KH, KW = dw.shape[1:]
    rows, columns, terms = OC // groups, G * KH * KW, N * OH * OW
    tile, parts = tile_and_parts(rows, columns, terms, max(1, driver().processors // groups))
    part_terms = part_of(terms, parts, tile)
    all_pixels = parts * part_terms
    table = empty((2 * all_pixels,), np.int64)
    _table_of_pixels[blocks_for(all_pixels)](table, all_pixels, N, C, OC, H, W, OH, OW, KH, KW,
                                             *stride, *padding, *dilation)
    whole = dw if parts == 1 else empty((parts, *dw.shape))
    blocks = -(-columns // tile.side), -(-rows // tile.side), groups * parts
    _weight_product(tile)[blocks](dy, x, table, whole, terms, rows, G, H, W, OH * OW, KH, KW,
                                  *dilation, parts, part_terms, dw.size)
    if parts > 1:
        _sum_of_parts(whole, dw)


def _of_gradients(dy, x, result):
    """The first image of dy and of x as matrices, and their product into a matrix like `result`."""
    matrices = dy[0].reshape(dy.shape[1], -1), x[0].reshape(x.shape[1], -1), result
    steps = [matrix.size for matrix in matrices]
    return matrices, Problem.of(*matrices, trans_b=True, batch=len(x), steps=steps)


def _to_weight_by_library(dy, x, dw):
    """A product for each image; then their sum."""
    whole = empty((len(x), *dw.shape[:2]))
    (of_dy, of_x, result), problem = _of_gradients(dy, x, whole[0])
    prepared(problem)(of_dy, of_x, None, result)
    _sum_of_parts(whole, dw)


def _sum_of_parts(whole, result):
    """Over the first axis."""
    n = result.size
    _added_up[blocks_for(n)](whole, None, None, None, result, n, len(whole), 0, 0, 0, 0, 1, 1)


def _bias_gradient(dy, db):
    N, OC, OH, OW = dy.shape
    count = max(1, min(N * OH * OW // (16 * THREADS), 2 * driver().processors // max(OC, 1)))
    sums = db if count == 1 else empty((count, OC))
    _to_bias[count, OC](dy, sums, N, OC, OH * OW)
    if count > 1:
        _sum_of_parts(sums, db)
