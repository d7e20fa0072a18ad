"""Two-dimensional convolution (cross-correlation, as every framework has it).

    y[n, oc, oh, ow] = b[oc] + residual[n, oc, oh, ow] + sum over (c, kh, kw) of
        w[oc, c, kh, kw] * x[n, first + c, oh * SH - PH + kh * DH, ow * SW - PW + kw * DW]

where ``first`` is the first input channel of the group of ``oc``. Cells in the padding are zero.
With ``relu``, what is below 0 in `y` becomes 0; NaN stays.

Shapes
    x  (N, C, H, W)
    w  (OC, C / groups, KH, KW)
    b  (OC,) or None
    residual  of the shape of y, backward of dx, or None; backward it may be dx itself
    gate  (N, C, H, W) or None: x, where that is the output of a ReLU, whose backward pass is then
          done with; NaN in it lets a gradient pass
    moments  (2, OC) or None: filled with mean and biased variance of each channel of y, which
          batch normalisation would otherwise have to read y once more for
    argmax  (N, OC, OH // 2, OW // 2) or None: what a 2 × 2 max-pool behind the convolution chose;
          dy is then the gradient of the pool's output, and nobody kept that of the convolution
    y  (N, OC, OH, OW),  OH = (H + 2 PH - DH (KH - 1) - 1) // SH + 1

x, residual, gate, y, dy, dx are feature maps, all of them planar or all of them channels-last.
``stride``, ``padding``, ``dilation`` are pairs (height, width). Depthwise is groups == C.
``algorithm`` is "auto", "direct" or "winograd"; a backend that knows only one ignores it.
Where `w` holds NaN or infinities, which further cells of ``y`` and ``dx`` that meet the padding
become NaN is left to the implementation (0 times NaN).

The convolution is one matrix product per group once the receptive fields are laid out as
columns (Chellapilla et al., 2006); nothing else is done here.
"""

import numpy as np

from ..im2col.reference import scatter_windows, windows
from ..pool import reference as pool


def _groups(C, OC, groups):
    """Slices of the input and of the output channels of each group."""
    c, oc = C // groups, OC // groups
    for g in range(groups):
        yield slice(g * c, (g + 1) * c), slice(g * oc, (g + 1) * oc)


def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
           moments=None):
    """Fill `y`, and `moments` unless it is None."""
    fields = windows(x, w.shape[2:], stride, padding, dilation, y.shape[2:])
    for c, oc in _groups(x.shape[1], w.shape[0], groups):
        # (OCg, C KH KW) times (C KH KW, N OH OW) -> (OCg, N, OH, OW)
        product = np.tensordot(w[oc], fields[:, c], axes=((1, 2, 3), (1, 4, 5)))
        y[:, oc] = product.transpose(1, 0, 2, 3)
    if b is not None:
        y += b[:, None, None]
    if residual is not None:
        y += residual
    if relu:
        np.maximum(y, 0, out=y)
    if moments is not None:
        fill_moments(y, moments)


def fill_moments(y, moments):
    """Fill `moments` with mean and variance of the channels of `y`, by sums in float64."""
    moments[0] = y.mean(axis=(0, 2, 3), dtype=np.float64)
    moments[1] = np.square(y - moments[0][:, None, None]).mean(axis=(0, 2, 3), dtype=np.float64)


# ---- a 2 × 2 max-pool behind it; with other functions, of other backends too ----

_POOL = (2, 2), (2, 2), (0, 0)


def output_shape(x, w, window):
    """That of conv2d's `y`. `window` is (stride, padding, dilation); `x` and `w` have shapes."""
    sizes = [(size + 2 * P - D * (K - 1) - 1) // S + 1 for size, K, S, P, D in zip(
        x.shape[2:], w.shape[2:], *window, strict=True)]
    return x.shape[0], w.shape[0], *sizes


def convolve_then_pool(convolve, forward, x, w, b, y, argmax, window, relu, algorithm,
                       empty=np.empty):
    """conv2d_max_pool2d by the two kernels that it is made of."""
    maps = empty(output_shape(x, w, window), x.dtype)
    convolve(x, w, b, None, maps, *window, 1, relu, algorithm)
    forward(maps, y, argmax, *_POOL)


def conv2d_max_pool2d(x, w, b, y, argmax, stride, padding, dilation, relu, algorithm):
    """Fill `y` (N, OC, OH // 2, OW // 2) with the largest of each 2 × 2 outputs of conv2d.

    Unless it is None, `argmax` is filled with their places (`max_pool2d`). One group; on the host
    all maps are channels-last.
    """
    convolve_then_pool(conv2d, pool.max_pool2d, x, w, b, y, argmax, (stride, padding, dilation),
                       relu, algorithm)


def unpooled(dy, argmax, x, w, window, backward=pool.max_pool2d_backward, empty=np.empty):
    """The gradient of conv2d's output; `dy` itself unless a pool stood behind it."""
    if argmax is None:
        return dy
    maps = empty(output_shape(x, w, window), dy.dtype)
    backward(dy, argmax, None, maps, *_POOL)
    return maps


# ---- the gradients ----


def conv2d_backward_input(dy, w, residual, gate, dx, stride, padding, dilation, groups, algorithm,
                          argmax=None):
    """Fill `dx`, the gradient of the input, plus `residual`; 0 where `gate` is not above 0."""
    dy = unpooled(dy, argmax, dx, w, (stride, padding, dilation))
    added = None if residual is None else residual.copy()       # it may be dx
    for c, oc in _groups(dx.shape[1], w.shape[0], groups):
        # (N, OCg, OH, OW) times (OCg, Cg, KH, KW) -> (N, OH, OW, Cg, KH, KW)
        fields = np.tensordot(dy[:, oc], w[oc], axes=((1,), (0,)))
        scatter_windows(fields.transpose(0, 3, 1, 2, 4, 5), dx[:, c], stride, padding, dilation)
    if added is not None:
        dx += added
    if gate is not None:
        dx[gate <= 0] = 0


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm,
                           argmax=None):
    """Fill `dw` and, unless it is None, `db`: the gradients of weight and bias."""
    dy = unpooled(dy, argmax, x, dw, (stride, padding, dilation))
    fields = windows(x, dw.shape[2:], stride, padding, dilation, dy.shape[2:])
    for c, oc in _groups(x.shape[1], dw.shape[0], groups):
        dw[oc] = np.tensordot(dy[:, oc], fields[:, c], axes=((0, 2, 3), (0, 2, 3)))
    if db is not None:
        db[...] = dy.sum(axis=(0, 2, 3))
