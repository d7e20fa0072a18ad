"""im2col and col2im: images to a matrix of receptive fields, and back.

Shapes
    x    (N, C, H, W)
    col  (N * OH * OW, C * KH * KW)   with ``transpose``: one row per output pixel
         (N, C * KH * KW, OH * OW)    without: one row per kernel tap (PyTorch's ``unfold``)

``col2im`` is the adjoint of ``im2col``: where windows overlap, their values add up.
Cells that fall into the padding read as zero and are dropped on the way back.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def windows(x, kernel, stride, padding, dilation, output, fill=0):
    """View of every receptive field, (N, C, OH, OW, KH, KW), over a padded copy of `x`.

    `output` is (OH, OW); with ceil_mode it may reach past the padding, which then grows.
    """
    extents = [(size - 1) * s + (k - 1) * d + 1
               for size, s, k, d in zip(output, stride, kernel, dilation, strict=True)]
    pads = [(p, max(extent - p - size, 0))
            for p, extent, size in zip(padding, extents, x.shape[2:], strict=True)]
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    (extent_h, extent_w), (sh, sw), (dh, dw) = extents, stride, dilation
    window = ((kernel[0] - 1) * dh + 1, (kernel[1] - 1) * dw + 1)
    view = sliding_window_view(padded[:, :, :extent_h, :extent_w], window, axis=(2, 3))
    return view[:, :, ::sh, ::sw, ::dh, ::dw]


def scatter_windows(fields, dx, stride, padding, dilation):
    """Adjoint of `windows`: add `fields` (N, C, OH, OW, KH, KW) into `dx` (N, C, H, W)."""
    N, C, OH, OW, KH, KW = fields.shape
    H, W = dx.shape[2:]
    (SH, SW), (PH, PW), (DH, DW) = stride, padding, dilation
    reach_h = max(H + 2 * PH, (OH - 1) * SH + (KH - 1) * DH + 1)
    reach_w = max(W + 2 * PW, (OW - 1) * SW + (KW - 1) * DW + 1)
    padded = np.zeros((N, C, reach_h, reach_w), dx.dtype)
    for kh in range(KH):
        for kw in range(KW):
            rows = slice(kh * DH, kh * DH + OH * SH, SH)
            columns = slice(kw * DW, kw * DW + OW * SW, SW)
            padded[:, :, rows, columns] += fields[..., kh, kw]
    dx[...] = padded[:, :, PH:PH + H, PW:PW + W]


def im2col(x, col, kernel, stride, padding, dilation, output, transpose):
    """Fill `col` with the receptive fields of `x`."""
    fields = windows(x, kernel, stride, padding, dilation, output)
    order = (0, 2, 3, 1, 4, 5) if transpose else (0, 1, 4, 5, 2, 3)
    col[...] = fields.transpose(order).reshape(col.shape)


def col2im(col, x, kernel, stride, padding, dilation, output, transpose):
    """Fill `x` with the sums of the values of `col` that came from each of its cells."""
    N, C = x.shape[:2]
    if transpose:
        fields = col.reshape(N, *output, C, *kernel).transpose(0, 3, 1, 2, 4, 5)
    else:
        fields = col.reshape(N, C, *kernel, *output).transpose(0, 1, 4, 5, 2, 3)
    scatter_windows(fields, x, stride, padding, dilation)
