"""Images of a batch in Numba, one loop for all layouts: an array's strides belong to its type."""

from numba import prange

from .._numba_jit import const, parallel


@parallel
def _crop_mirror_normalize(x, rows, top, left, mirror, scale, shift, fill, y):
    C, H, W = x.shape[1:]
    N, OH, OW = y.shape[0], y.shape[2], y.shape[3]
    for n in prange(N):
        image = x[rows[n]]
        for c in range(C):
            for i in range(OH):
                h = top[n] + i
                for j in range(OW):
                    w = left[n] + (OW - 1 - j if mirror[n] else j)
                    if 0 <= h < H and 0 <= w < W:
                        y[n, c, i, j] = scale[c] * image[c, h, w] + shift[c]
                    else:
                        y[n, c, i, j] = fill[c]


def crop_mirror_normalize(x, rows, top, left, mirror, scale, shift, fill, y):
    _crop_mirror_normalize(*map(const, (x, rows, top, left, mirror, scale, shift, fill)), y)
