"""Losses and their gradients. A loss is a float: the mean over the batch.

Targets may have any real dtype; they are converted to that of the predictions.
"""

from typing import Any

import numpy as np

from ..cuda import to_host
from ..errors import ArgumentError, DTypeError, ShapeError
from ._arrays import Array, Shaped, empty, expect_shape, kernel, on_device, real


def _rows(operation: str, name: str, x: Array) -> Array:
    """(N, C), with everything but the batch flattened."""
    if x.ndim < 1 or x.size == 0:
        raise ShapeError(f"{operation}: {name} {x.shape} is empty; a mean needs at least one value")
    return x.reshape(len(x), -1)


def _like(operation: str, name: str, t: Any, x: Shaped) -> Array:
    """Targets ready for a kernel. They are data, so any real dtype becomes x's."""
    if on_device(t):
        return real(operation, name, t)
    t = np.asarray(t)
    if t.dtype.kind in "biu":
        return np.require(t, x.dtype, ["C", "A"])
    return real(operation, name, t).astype(x.dtype, copy=False)


def expect_same_place(operation: str, x: Any, t: Any) -> None:
    """Raise unless predictions and targets lie both on the device, or both on the host."""
    if on_device(t) is not on_device(x):
        raise DTypeError(f"{operation}: x and t must both lie on the device, or both on the host")


def mean_loss(losses: Array) -> float:
    """The loss; those of samples on the device are copied from there."""
    losses = to_host(losses)
    return float(np.add.reduce(losses, dtype=np.float64)) / losses.size


# ---- softmax + cross-entropy ----

def checked_targets(operation: str, x: Shaped, t: Any) -> tuple[str, Array]:
    """The kernel's suffix for this kind of targets, and the targets ready for it."""
    t = t if on_device(t) else np.asarray(t)
    if t.shape == x.shape and t.ndim == 2:
        return "_dense", _like(operation, "t", t, x)
    if t.shape != x.shape[:1]:
        raise ShapeError(f"{operation}: t must be class indices {x.shape[:1]} or a distribution "
                         f"over classes {x.shape}, got {t.shape}")
    if t.dtype.kind not in "iu":
        raise DTypeError(f"{operation}: class indices t must be integers, got {t.dtype}")
    if on_device(t):
        if t.dtype != np.int64:
            raise DTypeError(f"{operation}: class indices on the device must be int64, got "
                             f"{t.dtype}")
        return "", t            # nobody has looked at them: a wrong one makes the loss NaN
    labels = t if t.dtype == np.int64 and t.flags.carray else t.astype(np.int64, "C")
    # As unsigned numbers negative ones are the largest: one pass finds both kinds of mistakes.
    if labels.view(np.uint64).max(initial=0) >= x.shape[1]:
        wrong = t[(t < 0) | (t >= x.shape[1])][0]
        raise ArgumentError(f"{operation}: t has label {wrong}, but x has {x.shape[1]} classes "
                            f"(0 to {x.shape[1] - 1}): x {x.shape}")
    return "", labels


def _checked(operation: str, name: str, x: Any, t: Any) -> tuple[Array, str, Array]:
    """Scores or probabilities, and what `checked_targets` gives for them."""
    x = _rows(operation, name, real(operation, name, x, ndim=2))
    expect_same_place(operation, x, t)
    return x, *checked_targets(operation, x, t)


def softmax_cross_entropy(x: Any, t: Any, *, return_probabilities: bool = False,
                          backend: str | None = None) -> Any:
    """Mean over the batch of ``-log softmax(x)[t]``.

    Parameters
    ----------
    x : (N, C) scores
    t : (N,) class indices, or (N, C) probabilities (one-hot, smoothed or mixed)
    return_probabilities : also return softmax(x), which the backward pass needs

    Raises
    ------
    ArgumentError
        when a label is outside 0 … C - 1

    >>> round(softmax_cross_entropy(np.zeros((1, 4)), np.array([2])), 6)
    1.386294
    """
    name = "softmax_cross_entropy"
    x, suffix, t = _checked(name, "x", x, t)
    p, losses = empty(x.shape, x.dtype, x), empty(x.shape[:1], x.dtype, x)
    kernel(name + suffix, x, backend)(x, t, p, losses)
    return (mean_loss(losses), p) if return_probabilities else mean_loss(losses)


def softmax_cross_entropy_backward(p: Any, t: Any, dloss: float = 1.0, *,
                                   backend: str | None = None) -> Array:
    """Gradient of `softmax_cross_entropy` from the probabilities: ``(p - t) / N``."""
    name = "softmax_cross_entropy_backward"
    p, suffix, t = _checked(name, "p", p, t)
    dx = empty(p.shape, p.dtype, p)
    kernel(f"softmax_cross_entropy{suffix}_backward", p, backend)(p, t, dx, dloss / len(p))
    return dx


def softmax_cross_entropy_with_gradient(x: Any, t: Any, dloss: float = 1.0, *,
                                        backend: str | None = None) -> tuple[float, Array]:
    """`softmax_cross_entropy` and its gradient in one pass over the scores.

    Parameters
    ----------
    x : (N, C) scores
    t : (N,) class indices, or (N, C) probabilities (one-hot, smoothed or mixed)
    dloss : gradient of the loss

    Returns
    -------
    loss : float
    dx : (N, C), ``(softmax(x) - t) / N * dloss``

    >>> softmax_cross_entropy_with_gradient(np.zeros((1, 2)), np.array([1]))[1]
    array([[ 0.5, -0.5]])
    """
    name = "softmax_cross_entropy_with_gradient"
    x, suffix, t = _checked(name, "x", x, t)
    dx, losses = empty(x.shape, x.dtype, x), empty(x.shape[:1], x.dtype, x)
    run = kernel(f"softmax_cross_entropy{suffix}_with_gradient", x, backend)
    run(x, t, dx, losses, dloss / len(x))
    return mean_loss(losses), dx


# ---- losses between arrays of one shape ----

def _alike(operation: str, x_name: str, x: Any, t: Any) -> tuple[Array, Array]:
    x = real(operation, x_name, x)
    expect_same_place(operation, x, t)
    t = _like(operation, "t", t, x)
    expect_shape(operation, "t", t, x.shape, f"the shape of {x_name}")
    return x, t


def _row_losses(name: str, x: Array, t: Array, x_name: str, backend: str | None,
                *options: float) -> Array:
    rows = _rows(name, x_name, x)
    losses = empty((len(rows),), x.dtype, x)
    kernel(name, rows, backend)(rows, t.reshape(rows.shape), losses, *options)
    return losses


def _row_gradient(name: str, x: Array, t: Array, x_name: str, backend: str | None,
                  *options: float) -> Array:
    rows = _rows(name, x_name, x)
    dx = empty(rows.shape, x.dtype, x)
    kernel(name, rows, backend)(rows, t.reshape(rows.shape), dx, *options)
    return dx.reshape(x.shape)


def cross_entropy(p: Any, t: Any, eps: float = 1e-7, *, backend: str | None = None) -> float:
    """Mean over the batch of ``-sum(t * log(p + eps))`` for probabilities `p` and `t`, (N, C).

    >>> round(cross_entropy(np.array([[0.5, 0.5]]), np.array([[0.0, 1.0]])), 6)
    0.693147
    """
    p, t = _alike("cross_entropy", "p", p, t)
    return mean_loss(_row_losses("cross_entropy", p, t, "p", backend, float(eps)))


def cross_entropy_backward(p: Any, t: Any, eps: float = 1e-7, dloss: float = 1.0, *,
                           backend: str | None = None) -> Array:
    """Gradient of `cross_entropy`."""
    name = "cross_entropy_backward"
    p, t = _alike(name, "p", p, t)
    return _row_gradient(name, p, t, "p", backend, float(eps), dloss / max(len(p), 1))


def mse(y: Any, t: Any, *, backend: str | None = None) -> float:
    """Half the squared error: mean over the batch of ``sum((y - t) ** 2) / 2``.

    >>> mse(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
    2.5
    """
    y, t = _alike("mse", "y", y, t)
    return mean_loss(_row_losses("mse", y, t, "y", backend))


def mse_backward(y: Any, t: Any, dloss: float = 1.0, *, backend: str | None = None) -> Array:
    """Gradient of `mse`: ``(y - t) / N``."""
    y, t = _alike("mse_backward", "y", y, t)
    return _row_gradient("mse_backward", y, t, "y", backend, dloss / max(len(y), 1))


def binary_cross_entropy(p: Any, t: Any, *, backend: str | None = None) -> float:
    """Mean over all elements of ``-(t log p + (1 - t) log(1 - p))``, each log at least -100.

    >>> round(binary_cross_entropy(np.array([0.5, 0.5]), np.array([0, 1])), 6)
    0.693147
    """
    p, t = _alike("binary_cross_entropy", "p", p, t)
    losses = _row_losses("binary_cross_entropy", p, t, "p", backend)
    return mean_loss(losses) * len(p) / p.size


def binary_cross_entropy_backward(p: Any, t: Any, dloss: float = 1.0, *,
                                  backend: str | None = None) -> Array:
    """Gradient of `binary_cross_entropy`."""
    name = "binary_cross_entropy_backward"
    p, t = _alike(name, "p", p, t)
    return _row_gradient(name, p, t, "p", backend, dloss / max(p.size, 1))
