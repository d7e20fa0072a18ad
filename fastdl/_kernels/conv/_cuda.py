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
    load4,
    store4,
)
from ...cuda._driver import driver
from ...cuda._tile import EACH, clear, part_of, row_of, tile_and_parts
from ..batchnorm._cuda import fill_moments
from ..pool._cuda import max_pool2d, max_pool2d_backward
from .reference import convolve_then_pool, unpooled

_SUMS = EACH * EACH
_FEWEST = 4 if SIMULATED else 16        # channels of a group, on both sides, for tiles
_FAR = -(1 << 30)                       # a row that no image has


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
        y[i] = _finished(total, b, residual, gate, plane % channels, i, has_b, has_residual,
                         has_gate, relu)


@device
def _finished(value, b, residual, gate, channel, i, has_b, has_residual, has_gate, relu):
    """An element of y or dx, from its sum."""
    if has_b:
        value += b[channel]
    if has_residual:
        value += residual[i]
    if (relu and value <= ZERO) or (has_gate and gate[i] <= ZERO):
        value = ZERO
    return value


# ---- in tiles: forward, and to x ----

@kernel()
def _packed(w: floats, packed: floats, n: int64, G: int32, OG: int32, taps: int32, to_x: int32):
    """Filters of each group as (taps, channels to sum over, channels of the result)."""
    inner, outer = (OG, G) if to_x else (G, OG)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, o = divided(i, outer)
        rest, c = divided(rest, inner)
        group, tap = divided(rest, taps)
        oc, ic = (c, o) if to_x else (o, c)
        packed[i] = w[((group * OG + oc) * G + ic) * taps + tap]


@cache
def _gathered_product(tile, to_x, strided, aligned_filters, aligned_maps):
    """The kernel of forward, or `to_x`; `strided`: rows are divided by a stride other than 1."""
    bring_filters, put_filters = tile.brings(False, aligned_filters), tile.put_along_side
    side, depth, threads, multiply = tile.side, tile.depth, tile.threads, tile.multiply
    stage, stages, pitch, brought = tile.stage, 2 * tile.stage, tile.pitch, tile.brought
    corner, row_gap, column_gap = tile.corner, tile.row_gap, tile.column_gap
    rounded = tile.rounded
    # A thread gathers one pixel in so many, of so many terms: neighbours gather neighbours.
    lanes = min(32, threads)
    pixels, rows = side // lanes, depth * lanes // threads

    @device
    def gather(x, first, last, channels, plane, bases, tops, lefts, H, W, KW, SH, SW, DH, DW, t,
               numbers):
        for r in range(rows):
            term = first + t // lanes * rows + r
            tap, c = divided(term, channels)
            kh, kw = divided(tap, KW)
            for p in range(pixels):
                h, v = tops[p] + kh * DH, lefts[p] + kw * DW
                inside = term < last and h >= 0 and v >= 0
                if strided:
                    h, rest_h = divided(h, SH)
                    v, rest_v = divided(v, SW)
                    inside = inside and rest_h == 0 and rest_v == 0
                numbers[pixels * r + p] = ZERO
                if inside and h < H and v < W:
                    numbers[pixels * r + p] = x[bases[p] + c * plane + h * W + v]

    @device
    def put_gathered(shared, at, t, numbers):
        for r in range(rows):
            for p in range(pixels):
                shared[at + (t // lanes * rows + r) * pitch + t % lanes + p * lanes] = rounded(
                    numbers[pixels * r + p])

    @kernel(threads, tile.blocks, (*tile.kind, to_x, strided, aligned_filters, aligned_maps))
    def product(x: floats, packed: floats, b: floats, residual: floats, gate: floats, y: floats,
                N: int32, inner: int32, outer: int32, groups: int32, H: int32, W: int32,
                YH: int32, YW: int32, KW: int32, terms: int32, step_h: int32, step_w: int32,
                start_h: int32, start_w: int32, SH: int32, SW: int32, DH: int32, DW: int32,
                parts: int32, part_terms: int32, part_size: int64, has_b: int32,
                has_residual: int32, has_gate: int32, relu: int32):
        """Channels of a group: `inner` of x (H, W), `outer` of y (YH, YW).

        Of pixel (i, j) of y, tap (kh, kw) reads row i step_h + start_h + kh DH of x, and so on.
        """
        left = cuda.shared.array(stages, float32)
        right = cuda.shared.array(stages, float32)
        sums = cuda.local.array(_SUMS, float32)
        next_a = cuda.local.array(brought, float32)
        next_b = cuda.local.array(brought, float32)
        line = cuda.local.array(EACH, float32)
        bases = cuda.local.array(pixels, int64)
        tops = cuda.local.array(pixels, int32)
        lefts = cuda.local.array(pixels, int32)
        t = cuda.threadIdx.x
        row, column = cuda.blockIdx.y * side, cuda.blockIdx.x * side
        group, part = divided(cuda.blockIdx.z, parts)
        plane, L, count = np.int64(H) * W, YH * YW, np.int64(N) * YH * YW
        for p in range(pixels):
            j = column + t % lanes + p * lanes
            image, place = divided(j, L)
            i, j2 = divided(place, YW)
            bases[p] = (image * groups + group) * inner * plane
            tops[p] = i * step_h + start_h if j < count else _FAR
            lefts[p] = j2 * step_w + start_w
        filters = group * terms * outer
        first = part * part_terms
        last = min(first + part_terms, terms)
        clear(sums)
        bring_filters(packed, outer, outer, last, row, first, t, next_a, filters)
        gather(x, first, last, inner, plane, bases, tops, lefts, H, W, KW, SH, SW, DH, DW, t,
               next_b)
        put_filters(left, 0, t, next_a)
        put_gathered(right, 0, t, next_b)
        cuda.syncthreads()
        at = 0
        for k in range(first + depth, last + depth, depth):
            if k < last:
                bring_filters(packed, outer, outer, last, row, k, t, next_a, filters)
                gather(x, k, last, inner, plane, bases, tops, lefts, H, W, KW, SH, SW, DH, DW, t,
                       next_b)
            multiply(left, right, at, t, sums)
            at = stage - at
            if k < last:
                put_filters(left, at, t, next_a)
                put_gathered(right, at, t, next_b)
            cuda.syncthreads()
        base = part * part_size
        down, along = corner(t)
        for s in range(EACH):
            o = row + down + s // 4 * row_gap + s % 4
            channel = group * outer + o
            row_of(sums, s, line)
            for h in range(2):
                j = column + along + h * column_gap
                if o < outer and j < count:
                    image, place = divided(j, L)
                    first_i = i = (image * groups * outer + channel) * L + place
                    for q in range(4):
                        if j + q < count:
                            line[4 * h + q] = _finished(
                                line[4 * h + q], b, residual, gate, channel, i, has_b,
                                has_residual, has_gate, relu)
                            if not aligned_maps:
                                y[base + i] = line[4 * h + q]
                            i, place = i + 1, place + 1
                            if place == L:              # the next image's, of the same channel
                                i, place = i + (groups * outer - 1) * L, 0
                    if aligned_maps:
                        store4(y, base + first_i,
                               (line[4 * h], line[4 * h + 1], line[4 * h + 2], line[4 * h + 3]))

    return product


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
    packed = empty((w.size,))
    _packed[blocks_for(w.size)](w, packed, w.size, G, OG, KH * KW, to_x)
    terms, columns = KH * KW * inner, N * YH * YW
    tile, parts = tile_and_parts(outer, columns, terms, max(1, driver().processors // groups))
    whole = y if parts == 1 else empty((parts, *y.shape))
    run = _gathered_product(tile, to_x, strides != (1, 1), outer % 4 == 0,
                            _has_fours(whole, YH * YW))
    part_terms = part_of(terms, parts, tile)
    window = (N, inner, outer, groups, H, W, YH, YW, KW, terms, *steps, *starts, *strides,
              *dilations, parts, part_terms, y.size)
    blocks = -(-columns // tile.side), -(-outer // tile.side), groups * parts
    finish = b is not None, residual is not None, gate is not None, relu
    if parts == 1:
        run[blocks](x, packed, b, residual, gate, y, *window, *finish)
        return
    run[blocks](x, packed, None, None, None, whole, *window, 0, 0, 0, 0)
    _added_up[blocks_for(y.size)](whole, b, residual, gate, y, y.size, parts, *finish, OC, YH * YW)


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


def _uses_tiles(w, groups):
    return w.shape[0] // groups >= _FEWEST and w.shape[1] * w.shape[2] * w.shape[3] >= _FEWEST


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
    if _uses_tiles(w, groups) and y.size:
        starts = -padding[0], -padding[1]
        _product(x, w, b, residual, None, y, groups, False, stride, starts, (1, 1), dilation, relu)
        return
    _forward[blocks_for(y.size)](x, w, b, residual, y, y.size, b is not None, residual is not None,
                                 relu, *_sizes(x, w, y, groups, stride, padding, dilation))


def conv2d_backward_input(dy, w, residual, gate, dx, stride, padding, dilation, groups, algorithm,
                          argmax=None):
    dy = unpooled(dy, argmax, dx, w, (stride, padding, dilation), max_pool2d_backward, empty)
    if _uses_tiles(w, groups) and dx.size:
        back = -dilation[0], -dilation[1]
        _product(dy, w, None, residual, gate, dx, groups, True, (1, 1), padding, stride, back,
                 False)
        return
    _to_input[blocks_for(dx.size)](dy, w, residual, gate, dx, dx.size, residual is not None,
                                   gate is not None,
                                   *_sizes(dx, w, dy, groups, stride, padding, dilation))


# ---- in tiles: to w ----

@cache
def _weight_product(tile, aligned):
    """The kernel; `aligned`: four pixels of dy are one load."""
    side, depth, threads, multiply = tile.side, tile.depth, tile.threads, tile.multiply
    put, share, brought = tile.put_along_terms, tile.share, tile.brought
    stage, stages, of_terms = tile.stage, 2 * tile.stage, tile.depth // 4
    corner, row_gap, column_gap = tile.corner, tile.row_gap, tile.column_gap

    @device
    def bring(dy, x, first, last, row, column, rows, columns, group, groups, G, H, W, OH, OW, KH,
              KW, SH, SW, PH, PW, DH, DW, t, of_dy, of_x):
        """Fours of pixels, of an output channel and of a channel's tap."""
        plane = OH * OW
        for s in range(share):
            four = t + s * threads
            pixel, side_place = first + four % of_terms * 4, four // of_terms
            oc, tap = row + side_place, column + side_place
            image, place = divided(pixel, plane)
            oh, ow = divided(place, OW)
            rest, kw = divided(tap, KW)
            c, kh = divided(rest, KH)
            if aligned:
                v = (ZERO, ZERO, ZERO, ZERO)
                if oc < rows and pixel < last:
                    v = load4(dy, ((image * groups + group) * rows + oc) * plane + place)
                for q in range(4):
                    of_dy[4 * s + q] = v[q]
            for q in range(4):
                inside = pixel + q < last
                if not aligned:
                    of_dy[4 * s + q] = ZERO
                    if inside and oc < rows:
                        of_dy[4 * s + q] = dy[((image * groups + group) * rows + oc) * plane
                                              + oh * OW + ow]
                h, v = oh * SH - PH + kh * DH, ow * SW - PW + kw * DW
                of_x[4 * s + q] = ZERO
                if inside and tap < columns and 0 <= h < H and 0 <= v < W:
                    of_x[4 * s + q] = x[(((image * groups + group) * G + c) * H + h) * W + v]
                ow += 1
                if ow == OW:
                    ow, oh = 0, oh + 1
                    if oh == OH:
                        oh, image = 0, image + 1

    @kernel(threads, tile.blocks, (*tile.kind, aligned))
    def product(dy: floats, x: floats, dw: floats, N: int32, rows: int32, G: int32, groups: int32,
                H: int32, W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32,
                SW: int32, PH: int32, PW: int32, DH: int32, DW: int32, parts: int32,
                part_terms: int32, part_size: int64):
        left = cuda.shared.array(stages, float32)
        right = cuda.shared.array(stages, float32)
        sums = cuda.local.array(_SUMS, float32)
        of_dy = cuda.local.array(brought, float32)
        of_x = cuda.local.array(brought, float32)
        line = cuda.local.array(EACH, float32)
        t = cuda.threadIdx.x
        row, column = cuda.blockIdx.y * side, cuda.blockIdx.x * side
        group, part = divided(cuda.blockIdx.z, parts)
        columns = G * KH * KW
        first = part * part_terms
        last = min(first + part_terms, np.int64(N) * OH * OW)
        clear(sums)
        bring(dy, x, first, last, row, column, rows, columns, group, groups, G, H, W, OH, OW, KH,
              KW, SH, SW, PH, PW, DH, DW, t, of_dy, of_x)
        put(left, 0, t, of_dy)
        put(right, 0, t, of_x)
        cuda.syncthreads()
        at = 0
        for k in range(first + depth, last + depth, depth):
            if k < last:
                bring(dy, x, k, last, row, column, rows, columns, group, groups, G, H, W, OH, OW,
                      KH, KW, SH, SW, PH, PW, DH, DW, t, of_dy, of_x)
            multiply(left, right, at, t, sums)
            at = stage - at
            if k < last:
                put(left, at, t, of_dy)
                put(right, at, t, of_x)
            cuda.syncthreads()
        base = part * part_size
        down, along = corner(t)
        for s in range(EACH):
            oc = row + down + s // 4 * row_gap + s % 4
            row_of(sums, s, line)
            for h in range(2):
                for q in range(4):
                    tap = column + along + h * column_gap + q
                    if oc < rows and tap < columns:
                        dw[base + (group * rows + oc) * columns + tap] = line[4 * h + q]

    return product


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm,
                           argmax=None):
    dy = unpooled(dy, argmax, x, dw, (stride, padding, dilation), max_pool2d_backward, empty)
    N = len(dy)
    if db is not None:
        _bias_gradient(dy, db)
    if not _uses_tiles(dw, groups) or not dy.size:
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
    N, OC, OH, OW = dy.shape
    G, KH, KW = dw.shape[1:]
    rows, columns, terms = OC // groups, G * KH * KW, N * OH * OW
    tile, parts = tile_and_parts(rows, columns, terms, max(1, driver().processors // groups))
    whole = dw if parts == 1 else empty((parts, *dw.shape))
    run = _weight_product(tile, _has_fours(dy, OH * OW))
    blocks = -(-columns // tile.side), -(-rows // tile.side), groups * parts
    run[blocks](dy, x, whole, N, rows, G, groups, *x.shape[2:], OH, OW, KH, KW, *stride, *padding,
                *dilation, parts, part_of(terms, parts, tile), dw.size)
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
