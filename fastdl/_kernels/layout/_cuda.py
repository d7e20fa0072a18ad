"""Feature maps copied from one memory layout to another, on the device.

From one layout to the other each image is a matrix that is transposed, by way of tiles in shared
memory: threads go along what lies together in memory, reading and writing. A tile's pitch is odd,
so that a column of it lies in different banks.
"""

from ...cuda._device import SIMULATED, THREADS, cuda, divided, float32, floats, int32, kernel
from ...cuda._driver import driver

_SIDE = 2 if SIMULATED else 32          # of a tile
_PITCH = _SIDE + 1
_CELLS = _SIDE * _PITCH
_EACH = _SIDE * _SIDE // THREADS        # of a tile's elements, for a thread
_DOWN = THREADS // _SIDE                # rows from one of them to the next
_IMAGES = 1024                          # that are done at once, at most


@kernel()
def _transpose(x: floats, y: floats, images: int32, rows: int32, columns: int32):
    """From images (rows, columns) to images (columns, rows)."""
    tile = cuda.shared.array(_CELLS, float32)
    down, along = divided(cuda.threadIdx.x, _SIDE)
    top, left = divided(cuda.blockIdx.x, (columns - 1) // _SIDE + 1)
    top, left, image = top * _SIDE, left * _SIDE, cuda.blockIdx.y
    while image < images:
        begin = image * rows * columns
        for k in range(_EACH):
            row, column = down + k * _DOWN, left + along
            if top + row < rows and column < columns:
                tile[row * _PITCH + along] = x[begin + (top + row) * columns + column]
        cuda.syncthreads()
        for k in range(_EACH):
            row, column = top + along, down + k * _DOWN
            if row < rows and left + column < columns:
                y[begin + (left + column) * rows + row] = tile[along * _PITCH + column]
        cuda.syncthreads()              # before the next image comes
        image += cuda.gridDim.y


def copy_maps(x, y):
    if x.flags.c_contiguous == y.flags.c_contiguous:
        if x.size:
            driver().copy(y.address, x.address, x.nbytes)
        return
    N, C = x.shape[:2]
    L = x.size // max(N * C, 1)
    rows, columns = (C, L) if x.flags.c_contiguous else (L, C)
    tiles = -(-rows // _SIDE) * -(-columns // _SIDE)
    _transpose[tiles, min(N, _IMAGES)](x, y, N, rows, columns)
