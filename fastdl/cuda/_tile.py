"""What the kernels that multiply matrices share: tiles in shared memory, multiplied in registers.

A block makes a tile of the product, SIDE by SIDE. It goes along the terms of the sum, DEPTH of them
at a time: while it multiplies those in shared memory, the next are on their way from the device's
memory into registers; then they are put into the other half of the shared memory (two stages), so
that one barrier a round is enough. A thread makes 8 by 8 elements: it reads 16 numbers for 64
multiplications. They are four blocks of 4 by 4, half a tile apart, so that what the threads of a
warp read at once lies in different banks.

In shared memory a tile is (DEPTH, PITCH): the elements of a row belong to one term. PITCH is SIDE
and a bit, so that tiles that come transposed are written into different banks too.
"""

import numpy as np

from ._compat import SIMULATED, cuda, float32, load4, store4
from ._launch import device

ZERO = np.float32(0)
DEPTH, EACH = 8, 8                      # terms of a round; a thread's elements along either side
SIDES = (16,) if SIMULATED else (128, 64)
_ALL = EACH * EACH


class Tile:
    """The functions for tiles of one size.

    Attributes
    ----------
    side : of the tile
    threads : of a block
    stage : numbers in one of the two halves of a shared array
    across : threads along a side
    share : fours that a thread brings for each tile
    """

    def __init__(self, side):
        self.side, self.across = side, side // EACH
        self.threads = self.across**2
        self.pitch = side + 4
        self.stage = DEPTH * self.pitch
        self.share = side * DEPTH // 4 // self.threads
        self.put_along_terms, self.put_along_side = _puts(self)
        self.multiply = _multiply(self)
        self.brought = 4 * self.share           # numbers

    def brings(self, along_terms, aligned):
        """A function that brings a thread's part of a tile of a matrix into registers.

        The matrix is (side, terms) in memory where fours go along terms, else (terms, side). Where
        it is `aligned`, all fours begin at multiples of 16 bytes, and none reaches beyond a row.
        """
        return _brings(self, along_terms, aligned)


def _brings(tile, along_terms, aligned):
    share, threads = tile.share, tile.threads
    length = (DEPTH if along_terms else tile.side) // 4

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
    threads, share, pitch = tile.threads, tile.share, tile.pitch
    of_terms, of_side = DEPTH // 4, tile.side // 4

    @device
    def put_along_terms(shared, at, t, numbers):
        for s in range(share):
            four = t + s * threads
            for q in range(4):
                shared[at + (four % of_terms * 4 + q) * pitch + four // of_terms] = (
                    numbers[4 * s + q])

    @device
    def put_along_side(shared, at, t, numbers):
        for s in range(share):
            four = t + s * threads
            store4(shared, at + four // of_side * pitch + four % of_side * 4,
                   (numbers[4 * s], numbers[4 * s + 1], numbers[4 * s + 2], numbers[4 * s + 3]))

    return put_along_terms, put_along_side


def _multiply(tile):
    """Add the products of two tiles in shared memory to a thread's sums."""
    pitch, across, half = tile.pitch, tile.across, tile.side // 2

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
        down, along = at + t // across * 4, at + t % across * 4
        # Written out: the compiler unrolls the small loops, but not one around them.
        for _ in range(DEPTH // 4):
            add_products(left, right, down, along, u, v, sums)
            add_products(left, right, down + pitch, along + pitch, u, v, sums)
            add_products(left, right, down + 2 * pitch, along + 2 * pitch, u, v, sums)
            add_products(left, right, down + 3 * pitch, along + 3 * pitch, u, v, sums)
            down, along = down + 4 * pitch, along + 4 * pitch

    return multiply


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


TILES = {side: Tile(side) for side in SIDES}


def tile_and_parts(rows, columns, terms, processors):
    """The tile for a product, and into how many parts to cut its sums.

    Small products are cut, so that there is work for every multiprocessor: a part writes its sums
    beside the others', and one more kernel adds them.
    """
    for side in SIDES:
        blocks = -(-rows // side) * -(-columns // side)
        if blocks >= processors:
            return TILES[side], 1
    most = max(1, terms // (16 * DEPTH))
    return TILES[side], min(most, max(1, 2 * processors // max(blocks, 1)), 64)
