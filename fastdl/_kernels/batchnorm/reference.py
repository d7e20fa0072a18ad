"""Batch normalisation (Ioffe & Szegedy, 2015), per channel over the batch and the positions.

    y = (x - mean) * rstd * weight + bias,    rstd = 1 / sqrt(var + eps)

and, where asked for, what often follows it: a residual is added (He et al., 2016), and a ReLU.

Options
    cap    None for no ReLU; else negative values become 0 and those above it become it: infinite
           for ReLU, 6 for ReLU6. NaN passes through.

Shapes
    x, y, dy, dx                     (N, C, L): L positions, 1 for the outputs of a dense layer
    residual, dresidual              (N, C, L) or None
    weight, bias, dw, db             (C,)
    mean, rstd                       (C,): saved by the forward pass for the backward pass
    moments                          (2, C) or None: mean and biased variance of x, if somebody
                                     has them (conv2d does)
    running_mean, running_var        (C,) or None: updated in place by the training pass,
                                     new = (1 - momentum) * old + momentum * batch

Sums of the statistics are made in float64: NumPy's own loses places along the first axes. The
batch is normalised by its biased variance; the running variance takes the unbiased one
(divided by N * L - 1), as PyTorch has it.
"""

import numpy as np


def _rows(v):
    return v[:, None]


def _finished(y, residual, cap):
    if residual is not None:
        y += residual
    if cap is not None:
        np.clip(y, 0, cap, out=y)


def batch_norm(x, weight, bias, residual, running_mean, running_var, y, mean, rstd, momentum, eps,
               cap, moments=None):
    """Training pass: fill `y`, `mean`, `rstd` and update the running statistics."""
    count = x.shape[0] * x.shape[2]
    if moments is None:
        mean[...] = x.mean(axis=(0, 2), dtype=np.float64)
        var = np.square(x - _rows(mean)).mean(axis=(0, 2), dtype=np.float64)
    else:
        mean[...], var = moments
    rstd[...] = 1 / np.sqrt(var + eps)
    y[...] = (x - _rows(mean)) * _rows(rstd) * _rows(weight) + _rows(bias)
    _finished(y, residual, cap)
    if running_mean is not None:
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var * (count / (count - 1)) - running_var)


def batch_norm_inference(x, weight, bias, mean, var, residual, y, eps, cap):
    """Evaluation pass: fill `y` from given statistics."""
    scale = weight / np.sqrt(var + x.dtype.type(eps))
    y[...] = (x - _rows(mean)) * _rows(scale) + _rows(bias)
    _finished(y, residual, cap)


def batch_norm_backward(dy, x, y, weight, mean, rstd, dx, dresidual, dw, db, training,
                        cap):
    """Fill `dx`, `dw`, `db`, and `dresidual` if it is wanted.

    `y` is what a forward pass with a `cap` gave, else None: no gradient passes where it is not
    above 0, or where a finite cap was reached. Without `training`, mean and rstd are constants.
    """
    if y is not None:
        shut = (y <= 0) | (y >= cap) if np.isfinite(cap) else y <= 0
        dy = np.where(shut, dy.dtype.type(0), dy)
    if dresidual is not None:
        dresidual[...] = dy
    x_hat = (x - _rows(mean)) * _rows(rstd)
    db[...] = dy.sum(axis=(0, 2))
    dw[...] = (dy * x_hat).sum(axis=(0, 2))
    if training:
        count = x.dtype.type(x.shape[0] * x.shape[2])
        dx[...] = (dy - _rows(db / count) - x_hat * _rows(dw / count)) * _rows(weight * rstd)
    else:
        dx[...] = dy * _rows(weight * rstd)
