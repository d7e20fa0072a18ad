"""Convolution and its gradients on the device as products of matrices, in tiles.

The second factor is never written (implicit im2col): a block of fastdl/cuda/_tile.py gathers it
from the image while it brings tiles into shared memory.

    forward     filters (OC, terms) times receptive fields (terms, pixels of y)
    to x        filters (C, terms) times what reaches a pixel (terms, pixels of x)
    to w        dy (OC, pixels of y) times receptive fields (pixels of y, C KH KW)

The first two are one kernel: a term is a tap and a channel, all channels of a tap in a row, and
filters are copied into that order first. "y" is the result here, dx too, and "x" what is read: tap
k of row i of y reads row ``start + i step + k dilation`` of x. `Axis` says so. Backward, row h of
dx was reached from (h + PH - kh DH) / SH of dy, where that is whole: rows that are the same modulo
SH were reached by the same taps, and make a product of their own, with those alone.

What divisions it takes to know which number that is are done once: for each term in a table, for
each pixel by the thread that gathers it, or, where pixels are the terms, in a table as well.
"""

from functools import cache
from math import gcd
from typing import NamedTuple

import numpy as np

from ...cuda._device import (
    ZERO,
    cuda,
    device,
    divided,
    float32,
    floats,
    int32,
    int64,
    kernel,
    longs,
    rectify,
)
from ...cuda._sums import EACH, SUMS, clear
from ...cuda._tile import unchanged


@kernel()
def added_up(parts: floats, b: floats, residual: floats, gate: floats, y: floats, n: int64,
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
    rectify(row, e, count, relu, gate, i, has_gate)


# ---- which number of x a tap of a pixel reads ----
#
# Pixel j of y and tap (c, kh, kw) meet at x[offset of the pixel + offset of the tap], unless they
# have a bit in common: a tap has one for its row of taps and one for its column of them, a pixel
# those of the rows and columns that read outside of the image for it, and one more, for no tap.

MOST_TAPS = 15                          # along an axis, so that there are bits enough
_COLUMNS = 16                           # where the bits of columns begin
_NO_TAP = -(1 << 31)
_NO_PIXEL = -1


@device
def _outside(extent, taps, first, dilation):
    """Bits of the taps that read outside; tap k reads number ``first + k dilation``."""
    bits = 0
    for k in range(taps):
        if not 0 <= first + k * dilation < extent:
            bits |= 1 << k
    return bits


@device
def _pixel(j, window):
    """Offset and bits of a pixel of y, and where it lies in y: image and place."""
    count, L, YW, image_step, H, W, KH, KW, step_h, step_w, start_h, start_w, DH, DW = window
    image, place = divided(j, L)
    i, i2 = divided(place, YW)
    top, left = start_h + i * step_h, start_w + i2 * step_w
    bits = _outside(H, KH, top, DH) | _outside(W, KW, left, DW) << _COLUMNS | _NO_TAP
    return image * image_step + top * W + left, bits if j < count else _NO_PIXEL, image, place


@device
def _tap(c, kh, kw, H, W, DH, DW):
    """Offset and bits of a tap."""
    return (c * H + kh * DH) * W + kw * DW, 1 << kh | 1 << kw + _COLUMNS


@device
def _joined(offset, bits):
    """As one number of a table."""
    return np.int64(offset) << 32 | np.int64(bits) & 0xFFFFFFFF


@device
def _parted(entry):
    return np.int32(entry >> 32), np.int32(entry)


# ---- forward, and to x ----

class Axis(NamedTuple):
    """The rows of y that have the same taps, and what these read; or the columns.

    Attributes
    ----------
    taps, first_tap, tap_step : how many; the first, and from one to the next
    start, step, dilation : what the first tap of the first row reads; from row to row, tap to tap
    rows, first_row, row_step : how many; the first, and from one to the next
    """

    taps: int
    first_tap: int
    tap_step: int
    start: int
    step: int
    dilation: int
    rows: int
    first_row: int
    row_step: int


def forward_axis(taps, rows, stride, padding, dilation):
    """That of all rows of y."""
    return [Axis(taps, 0, 1, -padding, stride, dilation, rows, 0, 1)]


def backward_axes(taps, rows, stride, padding, dilation):
    """Those of the rows of dx, by their remainders."""
    axes, tap_step = [], stride // gcd(stride, dilation)
    for row in range(min(stride, rows)):
        first = next((k for k in range(min(taps, tap_step))
                      if (row + padding - k * dilation) % stride == 0), taps)
        axes.append(Axis(-(-(taps - first) // tap_step), first, tap_step,
                         (row + padding - first * dilation) // stride, 1,
                         -(tap_step * dilation // stride), -(-(rows - row) // stride), row, stride))
    return axes


@cache
def packing(rounded, precision):
    """The kernel that brings filters into the order of terms, as they go into shared memory."""
    @kernel(constants=(precision,))
    def pack(w: floats, packed: floats, taps: longs, n: int64, G: int32, OG: int32, pitch: int32,
             all_kh: int32, all_kw: int32, to_x: int32, all_terms: int32, H: int32, W: int32,
             KH: int32, KW: int32, first_kh: int32, first_kw: int32, step_kh: int32,
             step_kw: int32, DH: int32, DW: int32):
        """Filters of each group as (taps, channels to sum over, channels of the result).

        And the table of terms, so many that no tile goes beyond it.
        """
        inner, outer = (OG, G) if to_x else (G, OG)
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            rest, o = divided(i, pitch)
            rest, c = divided(rest, inner)
            rest, kw = divided(rest, KW)
            group, kh = divided(rest, KH)
            oc, ic = (c, o) if to_x else (o, c)
            kh, kw = first_kh + kh * step_kh, first_kw + kw * step_kw
            packed[i] = (rounded(w[(((group * OG + oc) * G + ic) * all_kh + kh) * all_kw + kw])
                         if o < outer else ZERO)
        for i in range(cuda.grid(1), all_terms, cuda.gridsize(1)):
            offset, bits = 0, _NO_TAP
            if i < KH * KW * inner:
                tap, c = divided(i, inner)
                kh, kw = divided(tap, KW)
                offset, bits = _tap(c, kh, kw, H, W, DH, DW)
            taps[i] = _joined(offset, bits)

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
def gathered_product(tile, pointwise, aligned_maps):
    """The kernel of forward and to x.

    `pointwise`: filters are 1 by 1, and maps (inner, pixels) of each image, whose pixels come in
    fours that are read as such. `aligned_maps`: the same of y, and all its rows are made.
    """
    side, corner, piece, gap = tile.side, tile.corner, tile.piece, tile.column_gap
    store_piece = tile.store_piece
    together = piece if aligned_maps else 1
    gather, spread = _gathering(tile)
    pixels, place_of, fours = spread.places, spread.place, side // 4
    add_products = tile.sums_of(
        tile.brings(False, True), tile.puts(False, unchanged),
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
                step_w: int32, start_h: int32, start_w: int32, DH: int32, DW: int32,
                made: int32, made_w: int32, first_row: int32, first_column: int32, row_step: int32,
                column_step: int32, parts: int32, part_terms: int32, part_size: int64,
                has_b: int32, has_residual: int32, has_gate: int32, relu: int32):
        """Channels of a group: `inner` of x (H, W), `outer` of y, of L pixels in rows of YW.

        Of the latter so many are made: `made` in rows of `made_w`.
        """
        sums = cuda.local.array(SUMS, float32)
        offsets = cuda.local.array(pixels, int32)
        bits = cuda.local.array(pixels, int32)
        places = cuda.local.array(EACH, int64)
        t = np.uint32(cuda.threadIdx.x)
        row, column = cuda.blockIdx.y * side, cuda.blockIdx.x * side
        group, part = divided(cuda.blockIdx.z, parts)
        window = (count, made, made_w, groups * inner * H * W, H, W, KH, KW, step_h, step_w,
                  start_h, start_w, DH, DW)
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
            image, place = divided(j, made)
            if not aligned_maps:
                i, i2 = divided(place, made_w)
                place = ((first_row + i * row_step) * YW + first_column + i2 * column_step)
            places[e] = image * groups * outer * L + place if j < count else -1
        store_all(sums, (y, part * part_size, row + down, outer, group, L, places, b, residual,
                         gate, has_b, has_residual, has_gate, relu))

    return product


# ---- to w ----

@kernel()
def table_of_pixels(table: longs, all_pixels: int32, N: int32, C: int32, OC: int32, H: int32,
                    W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32,
                    PH: int32, PW: int32, DH: int32, DW: int32):
    """Of each pixel its offset and bits, and where it lies in dy; -1 of those beyond the last."""
    window = N * OH * OW, OH * OW, OW, C * H * W, H, W, KH, KW, SH, SW, -PH, -PW, DH, DW
    for j in range(cuda.grid(1), all_pixels, cuda.gridsize(1)):
        offset, bits, image, place = _pixel(j, window)
        table[2 * j] = _joined(offset, bits)
        table[2 * j + 1] = image * OC * OH * OW + place if image < N else -1


@cache
def weight_product(tile):
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
        for j in range(places):
            tap = column + place_of(t, j)
            rest, kw = divided(tap, KW)
            c, kh = divided(rest, KH)
            offsets[j], bits[j] = _tap(group * G + c, kh, kw, H, W, DH, DW)
            if tap >= columns:
                bits[j] = _NO_TAP
        clear(sums)
        add_products((dy, table, (group * rows + row) * L, L, rows - row),
                     (x, table, offsets, bits), first, last, t, sums)
        down, along = corner(t)
        store_all(sums, (dw, part * part_size + group * rows * columns, row + down, column + along,
                         rows, columns))

    return product
