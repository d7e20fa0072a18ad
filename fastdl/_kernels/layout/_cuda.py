"""Feature maps copied from one memory layout to another, on the device.

Threads go along what lies together in the result. Reads then lie apart where the layouts differ;
kernels of the device work on planes, so a network has few such copies, or none.
"""

from ...cuda._device import blocks_for, cuda, floats, int32, int64, kernel


@kernel()
def _copy(x: floats, y: floats, C: int32, L: int32, n: int64, xn: int64, xc: int64, xl: int64,
          yc: int64, yl: int64):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        image, rest = i // (C * L), i % (C * L)
        if yl == 1:
            c, place = rest // L, rest % L
        else:
            c, place = rest % C, rest // C
        y[image * C * L + c * yc + place * yl] = x[image * xn + c * xc + place * xl]


def copy_maps(x, y):
    N, C = x.shape[:2]
    L = x.size // max(N * C, 1)
    _copy[blocks_for(x.size)](x, y, C, L, x.size, C * L, *_steps(x, C, L), *_steps(y, C, L))


def _steps(maps, C, L):
    """Elements from a channel to the next, and from a pixel to the next."""
    return (L, 1) if maps.flags.c_contiguous else (1, C)
