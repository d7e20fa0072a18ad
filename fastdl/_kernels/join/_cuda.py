"""Sums and copies on the device; reference.py says what they are."""

from ...cuda._device import (
    ZERO,
    ByRow,
    access,
    cuda,
    device,
    divided,
    floats,
    in_fours,
    in_step,
    int32,
    int64,
    kernel,
)
from ...cuda._elementwise import elementwise


@elementwise(2, "add")
@device
def _add(a, b, _):
    return a + b


@elementwise(2, "multiply")
@device
def _multiply(a, b, _):
    return a * b


def add(a, b, y):
    _add(a, b, y, 0.0)


def multiply(a, b, y):
    _multiply(a, b, y, 0.0)


def _of_rows(width):
    """The kernels that take so many elements of a row at a time; L and columns count in these."""
    get, put = access(width)

    @kernel(constants=(width,))
    def scale(x: floats, s: floats, y: floats, planes: int32, at_once: int32, L: int32):
        i = cuda.grid(1)
        plane, _ = divided(i, L)
        if plane >= at_once:
            return
        while plane < planes:
            a, by = get(x, i * width), s[plane]
            put(y, i * width, (a[0] * by, a[1] * by, a[2] * by, a[3] * by))
            plane, i = plane + at_once, i + at_once * L

    @kernel(constants=(width,))
    def copy(x: floats, y: floats, x_pitch: int64, y_pitch: int64, rows: int32, at_once: int32,
             columns: int32):
        row, column = divided(cuda.grid(1), columns)
        if row >= at_once:
            return
        here, there = row * x_pitch + column * width, row * y_pitch + column * width
        while row < rows:
            put(y, there, get(x, here))
            row += at_once
            here, there = here + at_once * x_pitch, there + at_once * y_pitch

    return scale, copy


_by_one, _by_four = map(_of_rows, (1, 4))


@ByRow
def _products(team):
    size, team_sum, _ = team

    @kernel(constants=(size,))
    def products(dy: floats, x: floats, ds: floats, planes: int32, L: int32):
        plane, first = divided(cuda.grid(1), size)
        if plane >= planes:
            return
        total = ZERO
        for j in range(first, L, size):
            total += dy[plane * L + j] * x[plane * L + j]
        total = team_sum(total)
        if first == 0:
            ds[plane] = total

    return products


def scale_maps(x, s, y):
    N, C, L = x.shape
    (scale, _), width = (_by_four, 4) if in_fours(L, x, y) else (_by_one, 1)
    blocks, at_once = in_step(N * C, L // width)
    scale[blocks](x, s, y, N * C, at_once, L // width)


def scale_maps_backward(dy, x, s, dx, ds):
    _products(s.size, x.shape[2], dy, x, ds)
    scale_maps(dy, s, dx)


def copy_matrix(x, y):
    rows, columns = x.shape
    pitches = x.strides[0] // x.itemsize, y.strides[0] // y.itemsize
    aligned = not any(pitch % 4 for pitch in pitches)
    (_, copy), width = (_by_four, 4) if aligned and in_fours(columns, x, y) else (_by_one, 1)
    blocks, at_once = in_step(rows, columns // width)
    copy[blocks](x, y, *pitches, rows, at_once, columns // width)
