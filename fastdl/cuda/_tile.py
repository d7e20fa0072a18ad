"""What the kernels that multiply matrices share: tiles in shared memory, multiplied in registers.

A block makes a tile of the product, `side` by `side`. It goes along the terms of the sum, `depth`
of them at a time: while it multiplies those in shared memory, the next are on their way from the
device's memory into registers; then they are put into the other half of the shared memory (two
stages), so that one barrier a round is enough. A thread makes 8 by 8 elements, in four blocks of 4
by 4 that lie apart, so that what the threads of a warp read at once lies in different banks.

    float32     a thread reads 16 numbers for 64 multiplications of its own
    TF32        a warp makes 64 by 32 elements on tensor cores (_tensor_core.py): for 8 terms a lane
                reads 24 numbers, and the warp multiplies 16 times

In shared memory a tile is (depth, pitch): the elements of a row belong to one term. The pitch is
the side and a bit, so that tiles that come transposed are written into different banks too.
"""

import numpy as np

from ._compat import SIMULATED, cuda, float32, load4, store4
from ._launch import device
from ._precision import tf32_allowed
from ._tensor_core import mma, to_tf32

ZERO = np.float32(0)
EACH = 8                                # a thread's elements along either side
_ALL = EACH * EACH
WARP = 32
WARP_ROWS, WARP_COLUMNS = 64, 32        # that a warp makes on tensor cores


class Tile:
    """The functions for tiles of one size.

    Attributes
    ----------
    kind : what distinguishes it
    side : of the tile
    depth : terms of a round
    threads, blocks : of a block, and how many blocks a multiprocessor shall hold
    stage : numbers in one of the two halves of a shared array
    share : fours that a thread brings for each tile
    corner : function: the first row and column of a thread's elements
    row_gap, column_gap : from its first four rows to the others, and so for columns
    rounded : function: a number as it goes into shared memory
    """

    def __init__(self, side, tf32):
        self.kind, self.side = ("TF32" if tf32 else "float32", side), side
        self.depth = 16 if tf32 else 8
        self.threads, self.blocks = side * side // _ALL, 2 if side > 64 else 4
        self.pitch = side + 4
        self.stage = self.depth * self.pitch
        self.share = side * self.depth // 4 // self.threads
        self.brought = 4 * self.share           # numbers
        self.rounded = to_tf32 if tf32 else _same
        self.row_gap, self.column_gap = (32, 16) if tf32 else (side // 2, side // 2)
        self.corner, self.multiply = (_on_tensor_cores if tf32 else _one_by_one)(self)
        self.put_along_terms, self.put_along_side = _puts(self)

    def brings(self, along_terms, aligned):
        """A function that brings a thread's part of a tile of a matrix into registers.

        The matrix is (side, terms) in memory where fours go along terms, else (terms, side). Where
        it is `aligned`, all fours begin at multiples of 16 bytes, and none reaches beyond a row.
        """
        return _brings(self, along_terms, aligned)


@device
def _same(x):
    return x


def _brings(tile, along_terms, aligned):
    share, threads = tile.share, tile.threads
    length = (tile.depth if along_terms else tile.side) // 4

    @device
    def bring(p, pitch, limit, terms, begin, first, t, numbers, origin):
        """From element `begin` of the side and term `first`; 0 beyond `limit` and `terms`.

        The matrix begins at `origin`.
        """
        for s in range(share):
            four = t + s * threads
            across, along = four // length, four % length * 4
            if along_terms:
                across, along = across + begin, along + first
                rows, columns = limit, terms
            else:
                across, along = across + first, along + begin
                rows, columns = terms, limit
            if aligned:
                v = (ZERO, ZERO, ZERO, ZERO)
                if across < rows and along < columns:
                    v = load4(p, origin + across * pitch + along)
                for q in range(4):
                    numbers[4 * s + q] = v[q]
            else:
                for q in range(4):
                    numbers[4 * s + q] = ZERO
                    if across < rows and along + q < columns:
                        numbers[4 * s + q] = p[origin + across * pitch + along + q]

    return bring


def _puts(tile):
    """From registers into shared memory: fours that are four terms, or four of one term."""
    threads, share, pitch, rounded = tile.threads, tile.share, tile.pitch, tile.rounded
    of_terms, of_side = tile.depth // 4, tile.side // 4

    @device
    def put_along_terms(shared, at, t, numbers):
        for s in range(share):
            four = t + s * threads
            for q in range(4):
                shared[at + (four % of_terms * 4 + q) * pitch + four // of_terms] = rounded(
                    numbers[4 * s + q])

    @device
    def put_along_side(shared, at, t, numbers):
        for s in range(share):
            four = t + s * threads
            store4(shared, at + four // of_side * pitch + four % of_side * 4,
                   (rounded(numbers[4 * s]), rounded(numbers[4 * s + 1]),
                    rounded(numbers[4 * s + 2]), rounded(numbers[4 * s + 3])))

    return put_along_terms, put_along_side


def _one_by_one(tile):
    """Where a thread's elements lie, and how it adds the products of two tiles to their sums."""
    pitch, across, half, depth = tile.pitch, tile.side // EACH, tile.side // 2, tile.depth

    @device
    def corner(t):
        return t // across * 4, t % across * 4

    @device
    def add_products(left, right, down, along, u, v, sums):
        u0, u1 = load4(left, down), load4(left, down + half)
        v0, v1 = load4(right, along), load4(right, along + half)
        for q in range(4):
            u[q], u[q + 4], v[q], v[q + 4] = u0[q], u1[q], v0[q], v1[q]
        for i in range(EACH):
            for j in range(EACH):
                sums[EACH * i + j] += u[i] * v[j]

    @device
    def multiply(left, right, at, t, sums):
        u = cuda.local.array(EACH, float32)
        v = cuda.local.array(EACH, float32)
        down, along = corner(t)
        down, along = down + at, along + at
        # Written out: the compiler unrolls the small loops, but not one around them.
        for _ in range(depth // 4):
            add_products(left, right, down, along, u, v, sums)
            add_products(left, right, down + pitch, along + pitch, u, v, sums)
            add_products(left, right, down + 2 * pitch, along + 2 * pitch, u, v, sums)
            add_products(left, right, down + 3 * pitch, along + 3 * pitch, u, v, sums)
            down, along = down + 4 * pitch, along + 4 * pitch

    return corner, multiply


def _on_tensor_cores(tile):
    """The same, by warps.

    The rows and columns of an instruction may be any of the warp's. They are chosen so that what a
    lane reads of one term are fours: instruction (i, j) multiplies row i of each four of rows with
    column j of each four of columns. Fours g = 0, 1, ... 7 are taken in the order 0, 4, 1, 5, ...
    for then the columns of a lane's elements are fours, too.
    """
    pitch, rounds, across = tile.pitch, tile.depth // 8, tile.side // WARP_COLUMNS
    rows_apart = tile.row_gap

    @device
    def warp_corner(t):
        warp = t // WARP
        return warp // across * WARP_ROWS, warp % across * WARP_COLUMNS

    @device
    def first(t):
        g = t % WARP // 4
        return (g // 2 + g % 2 * 4) * 4

    @device
    def corner(t):
        row, column = warp_corner(t)
        return row + first(t), column + t % 4 * 4

    @device
    def add_row(a, v0, v1, sums, s):
        for j in range(4):
            upper, lower = s + j, s + j + 4 * EACH
            sums[upper], sums[upper + 4], sums[lower], sums[lower + 4] = mma(
                a, (v0[j], v1[j]), (sums[upper], sums[upper + 4], sums[lower], sums[lower + 4]))

    @device
    def multiply(left, right, at, t, sums):
        row, column = warp_corner(t)
        term = at + t % 4 * pitch + first(t)
        down, along = row + term, column + term
        for _ in range(rounds):
            u0, u1 = load4(left, down), load4(left, down + rows_apart)
            down += 4 * pitch
            u2, u3 = load4(left, down), load4(left, down + rows_apart)
            v0, v1 = load4(right, along), load4(right, along + 4 * pitch)
            down, along = down + 4 * pitch, along + 8 * pitch
            # Written out, as above.
            add_row((u0[0], u1[0], u2[0], u3[0]), v0, v1, sums, 0)
            add_row((u0[1], u1[1], u2[1], u3[1]), v0, v1, sums, EACH)
            add_row((u0[2], u1[2], u2[2], u3[2]), v0, v1, sums, 2 * EACH)
            add_row((u0[3], u1[3], u2[3], u3[3]), v0, v1, sums, 3 * EACH)

    return corner, multiply


@device
def clear(sums):
    """Set a thread's sums to 0."""
    for i in range(_ALL):
        sums[i] = ZERO


@device
def row_of(sums, s, row):
    """Copy a thread's sums of its row `s`.

    Sums stay in registers only as long as every index of theirs is known when they are compiled;
    `s` need not be.
    """
    for q in range(EACH):
        row[q] = ZERO
    for r in range(EACH):
        for q in range(EACH):
            value = sums[EACH * r + q]
            row[q] = value if r == s else row[q]


# The smallest that whole warps make is 64 by 64, in the simulator, too.
TILES = {False: [Tile(side, False) for side in ((16,) if SIMULATED else (128, 64))],
         True: [Tile(side, True) for side in ((64,) if SIMULATED else (128, 64))]}


def tile_and_parts(rows, columns, terms, processors):
    """The tile for a product, and into how many parts to cut its sums.

    Small products are cut, so that there is work for every multiprocessor: a part writes its sums
    beside the others', and one more kernel adds them.
    """
    for tile in TILES[tf32_allowed()]:
        blocks = -(-rows // tile.side) * -(-columns // tile.side)
        if blocks >= processors:
            return tile, 1
    most = max(1, terms // (16 * tile.depth))
    return tile, min(most, max(1, 2 * processors // max(blocks, 1)), 64)


def part_of(terms, parts, tile):
    """How many terms a part has: whole rounds."""
    return -(-terms // parts // tile.depth) * tile.depth
