"""Losses. A forward kernel fills one loss per row; the caller takes the mean.

Shapes
    x, y, p   (N, C): scores (before softmax), predictions, probabilities
    t         (N,) int64 class indices for ``softmax_cross_entropy``; elsewhere (N, C), of x's dtype
    loss      (N,)
    dx        (N, C)

``scale`` is what the caller's mean makes of one row: 1 / N for a mean over the batch.
"""

import numpy as np

LOG_FLOOR = -100.0          # binary cross-entropy: log never below this, as PyTorch has it


def _log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax_cross_entropy(x, t, p, loss):
    """Fill `p` with softmax(x) and `loss` with -log p[t]."""
    log_p = _log_softmax(x)
    np.exp(log_p, out=p)
    loss[...] = -log_p[np.arange(len(t)), t]


def softmax_cross_entropy_backward(p, t, dx, scale):
    """Fill ``dx = scale * (p - one_hot(t))``."""
    dx[...] = p
    dx[np.arange(len(t)), t] -= 1
    dx *= dx.dtype.type(scale)


def softmax_cross_entropy_with_gradient(x, t, dx, loss, scale):
    """Both at once: fill `loss`, and `dx` with its gradient."""
    softmax_cross_entropy(x, t, dx, loss)
    softmax_cross_entropy_backward(dx, t, dx, scale)


def softmax_cross_entropy_dense(x, t, p, loss):
    """The same for targets given as distributions: loss = -sum(t * log p)."""
    log_p = _log_softmax(x)
    np.exp(log_p, out=p)
    # 0 * -inf is 0 here: a class of target 0 adds nothing however unlikely it is.
    loss[...] = -np.where(t == 0, 0, t * log_p).sum(axis=1)


def softmax_cross_entropy_dense_backward(p, t, dx, scale):
    """Fill ``dx = scale * (p * sum(t) - t)``."""
    dx[...] = (p * t.sum(axis=1, keepdims=True) - t) * p.dtype.type(scale)


def softmax_cross_entropy_dense_with_gradient(x, t, dx, loss, scale):
    """Both at once: fill `loss`, and `dx` with its gradient."""
    softmax_cross_entropy_dense(x, t, dx, loss)
    softmax_cross_entropy_dense_backward(dx, t, dx, scale)


def cross_entropy(p, t, loss, eps):
    """Fill ``loss = -sum(t * log(p + eps))`` for probabilities `p`."""
    loss[...] = -(t * np.log(p + p.dtype.type(eps))).sum(axis=1)


def cross_entropy_backward(p, t, dx, eps, scale):
    """Fill ``dx = -scale * t / (p + eps)``."""
    dx[...] = -t / (p + p.dtype.type(eps)) * p.dtype.type(scale)


def mse(y, t, loss):
    """Fill ``loss = sum((y - t) ** 2) / 2``."""
    loss[...] = np.square(y - t).sum(axis=1) / 2


def mse_backward(y, t, dx, scale):
    """Fill ``dx = scale * (y - t)``."""
    dx[...] = (y - t) * y.dtype.type(scale)


def binary_cross_entropy(p, t, loss):
    """Fill ``loss = -sum(t log p + (1 - t) log(1 - p))``, each log at least -100."""
    with np.errstate(divide="ignore"):
        log_p = np.maximum(np.log(p), LOG_FLOOR)
        log_q = np.maximum(np.log1p(-p), LOG_FLOOR)
    loss[...] = -(t * log_p + (1 - t) * log_q).sum(axis=1)


def binary_cross_entropy_backward(p, t, dx, scale):
    """Fill ``dx = scale * (p - t) / max(p (1 - p), 1e-12)``."""
    floor = p.dtype.type(1e-12)
    dx[...] = (p - t) / np.maximum(p * (1 - p), floor) * p.dtype.type(scale)
