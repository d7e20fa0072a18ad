"""Layer, instance and group normalisation: by the statistics of each group of each image.

    y = (x - mean) * rstd * weight + bias,    rstd = 1 / sqrt(var + eps)

Shapes
    x, y, dy, dx             (N, G, K, L): G groups of K channels of L positions each; of a layer's
                             features there is one group, and one position
    weight, bias, dw, db     (G, K)
    mean, rstd               (N, G): saved by the forward pass for the backward pass

Sums of the statistics are made in float64. The variance is the biased one.
"""

import numpy as np


def _spread(statistics):
    return statistics[:, :, None, None]


def _normalised(x, mean, rstd):
    return (x - _spread(mean)) * _spread(rstd)


def group_norm(x, weight, bias, y, mean, rstd, eps):
    """Fill `y`, `mean`, `rstd`."""
    mean[...] = x.mean(axis=(2, 3), dtype=np.float64)
    var = np.square(x - _spread(mean)).mean(axis=(2, 3), dtype=np.float64)
    rstd[...] = 1 / np.sqrt(var + eps)
    y[...] = _normalised(x, mean, rstd) * weight[:, :, None] + bias[:, :, None]


def group_norm_backward(dy, x, weight, mean, rstd, dx, dw, db):
    """Fill `dx`, `dw`, `db`."""
    x_hat, g = _normalised(x, mean, rstd), dy * weight[:, :, None]
    db[...] = dy.sum(axis=(0, 3))
    dw[...] = (dy * x_hat).sum(axis=(0, 3))
    count = x.dtype.type(x.shape[2] * x.shape[3])
    first, second = g.sum(axis=(2, 3)) / count, (g * x_hat).sum(axis=(2, 3)) / count
    dx[...] = (g - _spread(first) - x_hat * _spread(second)) * _spread(rstd)
