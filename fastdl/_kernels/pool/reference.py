"""Max and average pooling over windows, and over whole feature maps.

Shapes
    x, dx   (N, C, H, W)
    y, dy   (N, C, OH, OW)
    argmax  (N, C, OH, OW): index ``kh * KW + kw`` of the maximum inside its window, uint8, or
            int32 when the window has more than 256 cells. Global pooling: index into H * W, int32.

Of equal values the first wins; NaN beats every number (the first NaN wins), as in NumPy's argmax.
Padding never wins a maximum. Forward, `argmax` is None where nobody asks for it.
An average divides by the window's size; cells of the padding count when ``count_include_pad``,
cells beyond the padding (ceil_mode) never do.
An index in `argmax` that points outside the input is ignored on the way back.
"""

import numpy as np

from ..im2col.reference import scatter_windows, windows

_NO_DILATION = (1, 1)


def max_pool2d(x, y, argmax, kernel, stride, padding):
    """Fill `y` and `argmax`."""
    size, output = x.shape[2:], y.shape[2:]
    fields = windows(x, kernel, stride, padding, _NO_DILATION, output, fill=-np.inf)
    inside = windows(np.ones((1, 1, *size), bool), kernel, stride, padding, _NO_DILATION, output)
    cells = kernel[0] * kernel[1]
    fields = fields.reshape(*y.shape, cells)
    inside = inside.reshape(1, 1, *output, cells)
    # A window of -inf throughout must still name a cell of the input, not of the padding.
    best = np.where(inside, fields, -np.inf).argmax(axis=-1)
    at_best = np.take_along_axis(np.broadcast_to(inside, fields.shape), best[..., None], axis=-1)
    best = np.where(at_best[..., 0], best, inside.argmax(axis=-1))
    y[...] = np.take_along_axis(fields, best[..., None], axis=-1)[..., 0]
    if argmax is not None:
        argmax[...] = best


def max_pool2d_backward(dy, argmax, y, dx, kernel, stride, padding):
    """Fill `dx`: each window hands its gradient to the cell it chose.

    Unless `y` is None, only windows whose output is above 0 do, as where a ReLU came before or
    after; NaN counts as above.
    """
    if y is not None:
        dy = np.where(y <= 0, dy.dtype.type(0), dy)
    cells = np.arange(kernel[0] * kernel[1])
    fields = np.where(argmax[..., None] == cells, dy[..., None], dy.dtype.type(0))
    scatter_windows(fields.reshape(*dy.shape, *kernel), dx, stride, padding, _NO_DILATION)


def _window_sizes(size, output, kernel, stride, padding, count_include_pad):
    """Number of cells that each window's average divides by, (OH, OW)."""
    lengths = []
    for n, o, k, s, p in zip(size, output, kernel, stride, padding, strict=True):
        start = np.arange(o) * s - p
        end = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        lengths.append(end - start)
    return np.outer(*lengths)


def avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    """Fill `y`."""
    output = y.shape[2:]
    fields = windows(x, kernel, stride, padding, _NO_DILATION, output)
    sizes = _window_sizes(x.shape[2:], output, kernel, stride, padding, count_include_pad)
    y[...] = fields.sum(axis=(4, 5)) / sizes.astype(x.dtype)


def avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    """Fill `dx`: each window spreads its gradient evenly."""
    sizes = _window_sizes(dx.shape[2:], dy.shape[2:], kernel, stride, padding, count_include_pad)
    share = dy / sizes.astype(dy.dtype)
    fields = np.broadcast_to(share[..., None, None], (*dy.shape, *kernel))
    scatter_windows(fields, dx, stride, padding, _NO_DILATION)


def global_avg_pool2d(x, y):
    """Fill `y` (N, C, 1, 1) with the mean of each feature map."""
    np.mean(x, axis=(2, 3), keepdims=True, out=y)


def global_avg_pool2d_backward(dy, dx):
    """Fill `dx`."""
    dx[...] = dy / dy.dtype.type(dx.shape[2] * dx.shape[3])


def global_max_pool2d(x, y, argmax):
    """Fill `y` and `argmax`, both (N, C, 1, 1)."""
    flat = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    best = flat.argmax(axis=-1)[..., None]
    y[...] = np.take_along_axis(flat, best, axis=-1)[..., None]
    if argmax is not None:
        argmax[...] = best[..., None]


def global_max_pool2d_backward(dy, argmax, dx):
    """Fill `dx`."""
    cells = np.arange(dx.shape[2] * dx.shape[3]).reshape(dx.shape[2:])
    dx[...] = np.where(argmax == cells, dy, dy.dtype.type(0))
