"""What the kernels that multiply matrices share: tiles in shared memory, multiplied in registers.

A block makes a tile of the product, `side` by `side`. It goes along the terms of the sum, `depth`
of them at a time: while it multiplies those in shared memory, the next are on their way from the
device's memory into registers; then they are put into the other half of the shared memory (two
stages), so that one barrier a round is enough. A thread makes 8 by 8 elements:

    float32     in four blocks of 4 by 4 that lie apart, so that what the threads of a warp read at
                once lies in different banks; it reads 16 numbers for 64 multiplications of its own
    TF32        as the tensor cores' instruction has them (_tensor_core.py), of the 64 by 32 that
                its warp makes: for 8 terms a lane reads 24 numbers for 16 instructions

In shared memory a tile is (depth, pitch): the elements of a row belong to one term. `slot` says
where an element is. A processor reads 32 numbers of shared memory at once if they lie in different
banks, at addresses that differ modulo 32; pitch and slots are chosen so that the 32 lanes of a warp
find them so, whether they write along the terms or along the side.
"""

from typing import Any, NamedTuple

import numpy as np

from ._compat import SIMULATED, cuda, float32, load4, store2, store4
from ._launch import device
from ._precision import tf32_allowed
from ._sums import EACH, SUMS, add_outer, take_row
from ._tensor_core import mma, to_tf32

ZERO = np.float32(0)
_WARP = 32
_WARP_ROWS, _WARP_COLUMNS = 64, 32      # that a warp makes on tensor cores


class Tile:
    """The functions for tiles of one size.

    Attributes
    ----------
    kind : what distinguishes it
    side : of the tile
    depth : terms of a round
    pitch : numbers from a term to the next in shared memory
    threads, blocks : of a block, and how many blocks a multiprocessor shall hold
    brought : numbers that a thread brings of each factor's tile
    slot : function: of a four of terms and a place along the side, where the first of them is in
        shared memory; the others are a pitch apart
    rounded : function: a number as it goes there
    corner : function: the first row and column of a thread's elements
    row_step, row_gap : from one of its first four rows to the next, and from those to the others
    piece, column_gap : its columns lie together in pieces of so many, so far apart
    store_piece : function: stores one of a row, at an address that is a multiple of its size
    """

    def __init__(self, side, tf32):
        self.kind, self.side = ("TF32" if tf32 else "float32", side), side
        self.depth = 16 if tf32 else 8
        self.threads, self.blocks = side * side // SUMS, 2 if side > 64 else 4
        self.brought = side * self.depth // self.threads
        self.pitch = side + (8 if tf32 else 4)
        self.stage = self.depth * self.pitch
        self.rounded = to_tf32 if tf32 else unchanged
        self.row_step, self.row_gap = (8, 32) if tf32 else (1, side // 2)
        self.piece, self.column_gap = (2, 8) if tf32 else (4, side // 2)
        self.store_piece = _store_two if tf32 else _store_four
        self.slot = (_turned if tf32 else _straight)(self.pitch)
        self.corner, self._multiply = (_on_tensor_cores if tf32 else _one_by_one)(self)

    def brings(self, along_terms, aligned):
        """A function that brings a thread's fours of a tile of a matrix into registers."""
        return _brings(self, along_terms, aligned)

    def puts(self, along_terms, rounded=None):
        """A function that puts them into shared memory, `rounded` as numbers there are."""
        return _puts(self, along_terms, rounded or self.rounded)

    def spread(self, along_terms):
        """How a thread's numbers lie that come one by one: next to its neighbours'."""
        return _spread(self, along_terms)

    def sums_of(self, bring_left, put_left, bring_right, put_right):
        """A function that adds a part of a product to a thread's sums.

        ``add_products(left, right, first, last, t, sums)``: terms from `first` to `last`; `left`
        and `right` are what `bring_left` and `bring_right` take.
        """
        return _sums_of(self, bring_left, put_left, bring_right, put_right)

    def each_row(self, store):
        """A function that calls ``store(row, down, given)`` for all rows of a thread's sums.

        `row` are its elements, and `down` is how far it is from the first.
        """
        return _each_row(self, store)


@device
def unchanged(x):
    """A number that need not be rounded."""
    return x


def _straight(pitch):
    @device
    def slot(four, place):
        return 4 * four * pitch + place

    return slot


def _turned(pitch):
    """Places are exchanged, otherwise for each four of terms.

    Lanes of a warp write (4 terms, 8 places), (8 terms, 4 places), or 8 places of a term from each
    four, and read as the first: with a pitch of 8 more than whole banks these are all apart.
    """
    @device
    def slot(four, place):
        return 4 * four * pitch + (place ^ (four % 4 * 8 + four % 2 * 4))

    return slot


# ---- from the device's memory to shared memory, a matrix whose elements lie in fours ----

def _fours(tile, along_terms):
    """How many fours a thread brings, and a function: of its four, its term and its place."""
    threads, count = tile.threads, tile.brought // 4
    length = (tile.depth if along_terms else tile.side) // 4

    @device
    def whereabouts(t, s):
        four = t + s * threads
        if along_terms:
            return four % length * 4, four // length
        return four // length, four % length * 4

    return count, whereabouts


def _brings(tile, along_terms, aligned):
    """The matrix is (side, terms) in memory where fours go along terms, else (terms, side).

    Where it is `aligned`, all fours begin at multiples of 16 bytes, and none reaches beyond a row.
    """
    count, whereabouts = _fours(tile, along_terms)

    @device
    def bring(matrix, k, last, t, numbers):
        """From term `k`; 0 from term `last` and from place `limit`."""
        p, origin, pitch, limit = matrix
        for s in range(count):
            term, place = whereabouts(t, s)
            # What is the same in each round stands by itself.
            index = (origin + place * pitch + term) + k if along_terms else (
                origin + term * pitch + place) + k * pitch
            if aligned:
                v = (ZERO, ZERO, ZERO, ZERO)
                if k + term < last and place < limit:
                    v = load4(p, index)
                numbers[4 * s], numbers[4 * s + 1], numbers[4 * s + 2], numbers[4 * s + 3] = v
            else:
                for q in range(4):
                    if along_terms:
                        inside = k + term + q < last and place < limit
                    else:
                        inside = k + term < last and place + q < limit
                    numbers[4 * s + q] = p[index + q] if inside else ZERO

    return bring


def _puts(tile, along_terms, rounded):
    count, whereabouts = _fours(tile, along_terms)
    slot, pitch = tile.slot, tile.pitch

    @device
    def put_along_terms(shared, at, t, numbers):
        for s in range(count):
            term, place = whereabouts(t, s)
            first = at + slot(term // 4, place)
            for q in range(4):
                shared[np.uint64(first + q * pitch)] = rounded(numbers[4 * s + q])

    @device
    def put_along_side(shared, at, t, numbers):
        for s in range(count):
            term, place = whereabouts(t, s)
            store4(shared, at + slot(term // 4, place) + term % 4 * pitch,
                   (rounded(numbers[4 * s]), rounded(numbers[4 * s + 1]),
                    rounded(numbers[4 * s + 2]), rounded(numbers[4 * s + 3])))

    return put_along_terms if along_terms else put_along_side


# ---- and of anything else, number by number ----

class Spread(NamedTuple):
    """A thread's part of a tile: number ``places * i + j`` is of its term i and its place j.

    Attributes
    ----------
    terms, places : how many it has
    term, place : functions: of the thread and of i or j, which one it is
    put : function: puts them into shared memory
    """

    terms: int
    places: int
    term: Any
    place: Any
    put: Any


def _spread(tile, along_terms):
    lanes = min(8 if along_terms else 32, tile.threads)     # threads side by side
    others = tile.threads // lanes
    terms, places = ((tile.depth // lanes, tile.side // others) if along_terms else
                     (tile.depth // others, tile.side // lanes))
    slot, pitch, rounded = tile.slot, tile.pitch, tile.rounded

    @device
    def term(t, i):
        return t % lanes + i * lanes if along_terms else t // lanes * terms + i

    @device
    def place(t, j):
        return t // lanes + j * others if along_terms else t % lanes + j * lanes

    @device
    def put(shared, at, t, numbers):
        for i in range(terms):
            k = term(t, i)
            for j in range(places):
                shared[np.uint64(at + slot(k // 4, place(t, j)) + k % 4 * pitch)] = rounded(
                    numbers[places * i + j])

    return Spread(terms, places, term, place, put)


# ---- the sum ----

def _sums_of(tile, bring_left, put_left, bring_right, put_right):
    depth, stage, stages, brought = tile.depth, tile.stage, 2 * tile.stage, tile.brought
    multiply = tile._multiply

    @device
    def add_products(left, right, first, last, t, sums):
        of_left = cuda.shared.array(stages, float32)
        of_right = cuda.shared.array(stages, float32)
        next_left = cuda.local.array(brought, float32)
        next_right = cuda.local.array(brought, float32)
        bring_left(left, first, last, t, next_left)
        bring_right(right, first, last, t, next_right)
        put_left(of_left, 0, t, next_left)
        put_right(of_right, 0, t, next_right)
        cuda.syncthreads()
        at = 0
        for k in range(first + depth, last + depth, depth):
            if k < last:
                bring_left(left, k, last, t, next_left)
                bring_right(right, k, last, t, next_right)
            multiply(of_left, of_right, at, t, sums)
            at = stage - at
            if k < last:
                put_left(of_left, at, t, next_left)
                put_right(of_right, at, t, next_right)
            cuda.syncthreads()

    return add_products


def _one_by_one(tile):
    """Where a thread's elements lie, and how it adds the products of two tiles to their sums."""
    pitch, across, half = tile.pitch, tile.side // EACH, tile.side // 2
    assert tile.depth == 8

    @device
    def corner(t):
        return t // across * 4, t % across * 4

    @device
    def add_term(left, right, down, along, sums):
        add_outer(sums, (*load4(left, down), *load4(left, down + half)),
                  (*load4(right, along), *load4(right, along + half)))

    @device
    def multiply(left, right, at, t, sums):
        down, along = corner(t)
        down, along = down + at, along + at
        add_term(left, right, down, along, sums)
        add_term(left, right, down + pitch, along + pitch, sums)
        add_term(left, right, down + 2 * pitch, along + 2 * pitch, sums)
        add_term(left, right, down + 3 * pitch, along + 3 * pitch, sums)
        add_term(left, right, down + 4 * pitch, along + 4 * pitch, sums)
        add_term(left, right, down + 5 * pitch, along + 5 * pitch, sums)
        add_term(left, right, down + 6 * pitch, along + 6 * pitch, sums)
        add_term(left, right, down + 7 * pitch, along + 7 * pitch, sums)

    return corner, multiply


def _on_tensor_cores(tile):
    """The same, by warps: lane 4 g + p has the rows that are g modulo 8, and columns 2 p, 2 p + 1.

    Its numbers are those of terms p and p + 4, of rows and columns g modulo 8.
    """
    across, pitch = tile.side // _WARP_COLUMNS, tile.pitch
    first, second = _eight_terms(tile, 0), _eight_terms(tile, 1)
    assert tile.depth == 16

    @device
    def warp_corner(t):
        warp = t // _WARP
        return warp // across * _WARP_ROWS, warp % across * _WARP_COLUMNS

    @device
    def corner(t):
        row, column = warp_corner(t)
        return row + t % _WARP // 4, column + t % 4 * 2

    @device
    def multiply(left, right, at, t, sums):
        row, column = warp_corner(t)
        even = at + t % 4 * pitch + t % _WARP // 4
        odd = at + t % 4 * pitch + (t % _WARP // 4 ^ 4)
        first(left, right, even + row, odd + row, even + column, odd + column, sums)
        second(left, right, even + row, odd + row, even + column, odd + column, sums)

    return corner, multiply


def _eight_terms(tile, number):
    """A function that multiplies 8 of the terms: four rows of instructions, four in each.

    Its terms are those of two fours, `even` and `odd`. What `slot` says of them is reckoned here
    for a lane's first term and place, with what must be added to it for the others.
    """
    even, odd = 2 * number, 2 * number + 1
    to_even, to_odd = 4 * even * tile.pitch, 4 * odd * tile.pitch

    @device
    def eighths(cells, at, four, s):
        """Of this and the next eight places."""
        return (cells[np.uint64(at + (s ^ four) * 8)], cells[np.uint64(at + (s + 1 ^ four) * 8)])

    @device
    def add_row(left, i, at_even, at_odd, v, w, sums):
        a = (*eighths(left, at_even, even, 2 * i), *eighths(left, at_odd, odd, 2 * i))
        s = 2 * EACH * i
        mma(a, (v[0], w[0]), sums, s, EACH)
        mma(a, (v[1], w[1]), sums, s + 2, EACH)
        mma(a, (v[2], w[2]), sums, s + 4, EACH)
        mma(a, (v[3], w[3]), sums, s + 6, EACH)

    @device
    def add_terms(left, right, down_even, down_odd, along_even, along_odd, sums):
        along_even, along_odd = along_even + to_even, along_odd + to_odd
        down_even, down_odd = down_even + to_even, down_odd + to_odd
        v = (*eighths(right, along_even, even, 0), *eighths(right, along_even, even, 2))
        w = (*eighths(right, along_odd, odd, 0), *eighths(right, along_odd, odd, 2))
        add_row(left, 0, down_even, down_odd, v, w, sums)
        add_row(left, 1, down_even, down_odd, v, w, sums)
        add_row(left, 2, down_even, down_odd, v, w, sums)
        add_row(left, 3, down_even, down_odd, v, w, sums)

    return add_terms


# ---- from the sums to the device's memory ----

def _each_row(tile, store):
    step, gap = tile.row_step, tile.row_gap

    @device
    def store_all(sums, given):
        row = cuda.local.array(EACH, float32)
        for i in range(EACH):
            take_row(sums, i, row)
            store(row, i // 4 * gap + i % 4 * step, given)

    return store_all


@device
def _store_two(p, i, row, e):
    store2(p, i, (row[e], row[e + 1]))


@device
def _store_four(p, i, row, e):
    store4(p, i, (row[e], row[e + 1], row[e + 2], row[e + 3]))


# The smallest that whole warps make is 64 by 64, in the simulator, too.
TILES = {False: [Tile(side, False) for side in ((16,) if SIMULATED else (128, 64))],
         True: [Tile(side, True) for side in ((64,) if SIMULATED else (128, 64))]}


def tile_and_parts(rows, columns, terms, processors):
    """The tile for a product, and into how many parts to cut its sums.

    Small products are cut, so that every multiprocessor has all the blocks that it can hold: a part
    writes its sums beside the others', and one more kernel adds them.
    """
    for tile in TILES[tf32_allowed()]:
        blocks = -(-rows // tile.side) * -(-columns // tile.side)
        if blocks >= processors:
            return tile, 1
    most = max(1, terms // (16 * tile.depth))
    return tile, min(most, max(1, tile.blocks * processors // max(blocks, 1)), 64)


def part_of(terms, parts, tile):
    """How many terms a part has: whole rounds."""
    return -(-terms // parts // tile.depth) * tile.depth
