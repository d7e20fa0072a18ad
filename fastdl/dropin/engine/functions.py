"""Activations and losses of both profiles, with predictions first.

Large arrays go to the kernels. On few elements the way there takes longer than NumPy's work, and
such calls come in hundreds of thousands, so these have nothing in their way but one comparison.
"""

from typing import Any

import numpy as np

from ... import ops

_LARGE = 1024                   # elements; measured, see bench/dropin.py
_TINY = 1e-7                    # inside the logarithm of cross-entropy

_exp = np.exp


def _for_kernels(x: Any) -> bool:
    return type(x) is np.ndarray and x.size >= _LARGE and x.dtype.char in "fd"


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``.

    >>> float(sigmoid(0))
    0.5
    """
    if type(x) is np.ndarray and x.size >= _LARGE and x.dtype.char in "fd":
        return ops.sigmoid(x)
    return 1 / (1 + _exp(-x))


def d_sigmoid(x: Any) -> Any:
    """Derivative of `sigmoid` at its input."""
    y = sigmoid(x)
    return (1.0 - y) * y


def relu(x: Any) -> Any:
    """``max(0, x)``."""
    return ops.relu(x) if _for_kernels(x) else np.maximum(0, x)


def softmax_of_rows(x: Any) -> Any:
    """Softmax along the last axis."""
    if _for_kernels(x) and x.shape[-1]:
        return ops.softmax(x)
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def softmax_of_all(x: Any) -> Any:
    """Softmax over all elements together."""
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


def cross_entropy(y: Any, t: Any) -> Any:
    """Mean of ``-log(y + 1e-7)`` at the targets, given as indices or one-hot.

    Parameters
    ----------
    y : (N, C) or (C,) probabilities
    t : (N,) indices, or of y's shape
    """
    if y.ndim == 1:
        t, y = t.reshape(1, t.size), y.reshape(1, y.size)
    if t.size == y.size:
        t = t.argmax(axis=1)
    N = y.shape[0]
    return -np.sum(np.log(y[np.arange(N), t] + _TINY)) / N


def d_softmax_cross_entropy(y: Any, t: Any) -> Any:
    """Gradient of the scores, from the probabilities `y` and the targets."""
    N = t.shape[0]
    if t.size == y.size:
        return (y - t) / N
    dx = y.copy()
    dx[np.arange(N), t] -= 1
    return dx / N
