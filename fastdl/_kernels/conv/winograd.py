"""Winograd's convolution for r x r windows of stride 1, in plain NumPy, to be read.

A tile of m x m outputs of a filter g is a function of the n x n inputs d under it, n = m + r - 1.
Three small matrices write it with one multiplication for each of these inputs, where the
definition has r^2 for each output (Winograd, 1980; Lavin & Gray, 2016):

    y = A^T [(G g G^T) * (B^T d B)] A

The product ``*`` is element by element, so that the sum over the channels becomes one matrix
product for each of the n^2 points. F(2 x 2, 3 x 3) has 16 multiplications instead of 36,
F(4 x 4, 3 x 3) 36 instead of 144, F(2 x 2, 5 x 5) 36 instead of 100. The numbers in the matrices of
the last two differ more in size, and cost a few bits of accuracy: see docs/architecture.md.

The native kernels (native/kernel_winograd.h) do the same. Nothing calls this module but its tests,
which compare it with reference.py.
"""

import numpy as np

from ..im2col.reference import windows


class Transforms:
    """The matrices of F(m x m, r x r).

    Each row of `B_T` and `G` belongs to one point: 0, 1, -1, of six points also 2 and -2, and
    infinity.
    """

    def __init__(self, B_T, G, A_T):
        self.B_T, self.G, self.A_T = (np.array(matrix) for matrix in (B_T, G, A_T))
        self.m, self.r = len(self.A_T), self.G.shape[1]
        self.n = len(self.B_T)


_OF_SIX_POINTS = [[4, 0, -5, 0, 1, 0],
                  [0, -4, -4, 1, 1, 0],
                  [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0],
                  [0, 2, -1, -2, 1, 0],
                  [0, 4, 0, -5, 0, 1]]

TRANSFORMS = {          # by m and r
    (2, 3): Transforms(
        B_T=[[1, 0, -1, 0],
             [0, 1, 1, 0],
             [0, -1, 1, 0],
             [0, 1, 0, -1]],
        G=[[1, 0, 0],
           [1 / 2, 1 / 2, 1 / 2],
           [1 / 2, -1 / 2, 1 / 2],
           [0, 0, 1]],
        A_T=[[1, 1, 1, 0],
             [0, 1, -1, -1]]),
    (4, 3): Transforms(
        B_T=_OF_SIX_POINTS,
        G=[[1 / 4, 0, 0],
           [-1 / 6, -1 / 6, -1 / 6],
           [-1 / 6, 1 / 6, -1 / 6],
           [1 / 24, 1 / 12, 1 / 6],
           [1 / 24, -1 / 12, 1 / 6],
           [0, 0, 1]],
        A_T=[[1, 1, 1, 1, 1, 0],
             [0, 1, -1, 2, -2, 0],
             [0, 1, 1, 4, 4, 0],
             [0, 1, -1, 8, -8, 1]]),
    (2, 5): Transforms(
        B_T=_OF_SIX_POINTS,
        G=[[1 / 4, 0, 0, 0, 0],
           [-1 / 6, -1 / 6, -1 / 6, -1 / 6, -1 / 6],
           [-1 / 6, 1 / 6, -1 / 6, 1 / 6, -1 / 6],
           [1 / 24, 1 / 12, 1 / 6, 1 / 3, 2 / 3],
           [1 / 24, -1 / 12, 1 / 6, -1 / 3, 2 / 3],
           [0, 0, 0, 0, 1]],
        A_T=[[1, 1, 1, 1, 1, 0],
             [0, 1, -1, 2, -2, 1]]),
}


def _both_axes(matrix, tiles):
    """``matrix @ tile @ matrix.T`` for tiles in the last two axes."""
    return matrix.astype(tiles.dtype) @ tiles @ matrix.T.astype(tiles.dtype)


def _tiles(maps, size, m, padding, counts):
    """Tiles of `size` x `size`, m apart: (N, C, down, across, size, size).

    What they cover outside of the maps is zero.
    """
    return windows(maps, (size, size), (m, m), padding, (1, 1), counts)


def conv2d(x, w, padding, m):
    """y (N, OC, OH, OW) of x (N, C, H, W) and w (OC, C, r, r)."""
    t = TRANSFORMS[m, w.shape[-1]]
    N, OC = len(x), len(w)
    OH, OW = (n + 2 * p - t.r + 1 for n, p in zip(x.shape[2:], padding, strict=True))
    down, across = -(-OH // m), -(-OW // m)
    inputs = _both_axes(t.B_T, _tiles(x, t.n, m, padding, (down, across)))
    filters = _both_axes(t.G, w)
    products = np.einsum("nchwij,ocij->nohwij", inputs, filters, optimize=True)
    tiles = _both_axes(t.A_T, products)
    y = tiles.transpose(0, 1, 2, 4, 3, 5).reshape(N, OC, down * m, across * m)
    return y[:, :, :OH, :OW]            # the last tiles may jut out


def conv2d_backward_input(dy, w, padding, m):
    """dx: a convolution of dy, too, with filters turned by half a circle."""
    most = w.shape[-1] - 1
    if max(padding) > most:             # its padding would be negative: cut dy instead
        cut = [slice(max(0, p - most), n - max(0, p - most))
               for p, n in zip(padding, dy.shape[2:], strict=True)]
        dy, padding = dy[:, :, cut[0], cut[1]], [min(p, most) for p in padding]
    turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return conv2d(dy, turned, [most - p for p in padding], m)


def conv2d_backward_input_spread(dy, w, padding, m, shape):
    """dx of `shape`, from tiles of dy: each is spread over the inputs that it was made from.

    These tiles are fewer than those of dx where there was little padding: the transposed algorithm,
    ``dx += B [(G g G^T) * (A dy A^T)] B^T``, which multiplies no padding.
    """
    t = TRANSFORMS[m, w.shape[-1]]
    N, C, H, W = shape
    down, across = (-(-n // m) for n in dy.shape[2:])
    gradients = _both_axes(t.A_T.T, _tiles(dy, m, m, (0, 0), (down, across)))
    filters = _both_axes(t.G, w)
    products = np.einsum("nohwij,ocij->nchwij", gradients, filters, optimize=True)
    tiles = _both_axes(t.B_T.T, products)
    sums = np.zeros((N, C, down * m + t.r - 1, across * m + t.r - 1), dy.dtype)
    for i in range(down):
        for j in range(across):         # they overlap by r - 1
            sums[:, :, i * m:i * m + t.n, j * m:j * m + t.n] += tiles[:, :, i, j]
    return sums[:, :, padding[0]:padding[0] + H, padding[1]:padding[1] + W]


def conv2d_backward_weight(dy, x, padding, m, r=3):
    """dw: y is linear in G g G^T, so its gradient takes the transposed matrices.

    That is, ``dg = G^T [sum over tiles of (A dy A^T) * (B^T d B)] G``.
    """
    t = TRANSFORMS[m, r]
    counts = [-(-n // m) for n in dy.shape[2:]]
    inputs = _both_axes(t.B_T, _tiles(x, t.n, m, padding, counts))
    gradients = _both_axes(t.A_T.T, _tiles(dy, m, m, (0, 0), counts))
    sums = np.einsum("nohwij,nchwij->ocij", gradients, inputs, optimize=True)
    return _both_axes(t.G.T, sums)
