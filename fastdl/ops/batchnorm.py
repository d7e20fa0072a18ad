"""Batch normalisation and its gradients."""

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, expect_shape, kernel, real, real_like


def _by_channel(operation: str, name: str, x: Any) -> Array:
    x = real(operation, name, x)
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ShapeError(f"{operation}: {name} must be (N, C) or (N, C, ...), got {x.shape}")
    return x


def _flat(x: Array) -> Array:
    """(N, C, L)."""
    return x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))


def _per_channel(operation: str, x: Array, **arrays: Any) -> list[Array]:
    ready = []
    for name, array in arrays.items():
        array = real_like(operation, name, array, x, "x")
        expect_shape(operation, name, array, x.shape[1:2], "one for each channel")
        ready.append(array)
    return ready


def _running(operation: str, x: Array, **arrays: Any) -> list[Array]:
    """Statistics that the kernel changes in place, so that a copy would be lost."""
    for name, array in arrays.items():
        if (not isinstance(array, np.ndarray) or array.dtype != x.dtype
                or not array.flags.carray or array.shape != x.shape[1:2]):
            raise ArgumentError(
                f"{operation}: {name} is changed in place, so it must be a writeable contiguous "
                f"{x.dtype} array {x.shape[1:2]}, got "
                f"{f'{array.dtype} {array.shape}' if isinstance(array, np.ndarray) else array!r}")
    return list(arrays.values())


def batch_norm(x: Any, weight: Any, bias: Any, running_mean: Any = None, running_var: Any = None,
               training: bool = True, momentum: float = 0.1, eps: float = 1e-5, *,
               return_stats: bool = False, backend: str | None = None) -> Any:
    """Normalise each channel, then scale and shift it (Ioffe & Szegedy, 2015).

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    weight, bias : (C,)
    running_mean, running_var : (C,). With `training` they are updated in place (may be None),
        ``new = (1 - momentum) * old + momentum * batch``, the variance unbiased; without, they
        are what x is normalised by.
    return_stats : with `training`, also return the batch's mean and ``1 / sqrt(var + eps)``,
        which `batch_norm_backward` needs

    Returns
    -------
    y of x's shape, or (y, mean, rstd)

    >>> batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    x = _by_channel("batch_norm", "x", x)
    weight, bias = _per_channel("batch_norm", x, weight=weight, bias=bias)
    y = np.empty(x.shape, x.dtype)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: without training, running_mean and running_var are "
                                "what x is normalised by; got None")
        mean, var = _per_channel("batch_norm", x, running_mean=running_mean,
                                 running_var=running_var)
        kernel("batch_norm_inference", x, backend)(_flat(x), weight, bias, mean, var, _flat(y),
                                                   float(eps))
        return (y, mean, 1 / np.sqrt(var + x.dtype.type(eps))) if return_stats else y
    if x.size // x.shape[1] < 2:
        raise ShapeError(f"batch_norm: training needs more than one value in a channel, x is "
                         f"{x.shape}")
    if (running_mean is None) != (running_var is None):
        raise ArgumentError("batch_norm: give running_mean and running_var, or neither")
    if running_mean is not None:
        _running("batch_norm", x, running_mean=running_mean, running_var=running_var)
    mean, rstd = (np.empty(x.shape[1], x.dtype) for _ in range(2))
    kernel("batch_norm", x, backend)(_flat(x), weight, bias, running_mean, running_var, _flat(y),
                                     mean, rstd, float(momentum), float(eps))
    return (y, mean, rstd) if return_stats else y


def batch_norm_backward(dy: Any, x: Any, weight: Any, mean: Any, rstd: Any,
                        training: bool = True, *,
                        backend: str | None = None) -> tuple[Array, Array, Array]:
    """Gradients of `batch_norm`: ``(dx, dw, db)``.

    `mean` and `rstd` are those that `batch_norm` returned; without `training` they are constants.
    """
    name = "batch_norm_backward"
    x = _by_channel(name, "x", x)
    dy = real_like(name, "dy", dy, x, "x")
    expect_shape(name, "dy", dy, x.shape, "the shape of x")
    weight, mean, rstd = _per_channel(name, x, weight=weight, mean=mean, rstd=rstd)
    dx = np.empty(x.shape, x.dtype)
    dw, db = (np.empty(x.shape[1], x.dtype) for _ in range(2))
    kernel(name, x, backend)(_flat(dy), _flat(x), weight, mean, rstd, _flat(dx), dw, db,
                             bool(training))
    return dx, dw, db
