"""Batch normalisation and its gradients."""

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, empty, empty_maps, expect_shape, kernel, maps, maps_like, real_like


def _by_channel(operation: str, name: str, x: Any) -> Array:
    x = maps(operation, name, x)
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ShapeError(f"{operation}: {name} must be (N, C) or (N, C, ...), got {x.shape}")
    return x


def _flat(x: Array | None) -> Array | None:
    """(N, C, L), a view."""
    return None if x is None else x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))


def _map_like(operation: str, name: str, array: Any, x: Array) -> Array:
    array = maps_like(operation, name, array, x, "x")
    expect_shape(operation, name, array, x.shape, "the shape of x")
    return array


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
        if (type(array) is not type(x) or array.dtype != x.dtype
                or not array.flags.carray or array.shape != x.shape[1:2]):
            raise ArgumentError(
                f"{operation}: {name} is changed in place, so it must be a writeable contiguous "
                f"{x.dtype} array {x.shape[1:2]}, got "
                f"{f'{array.dtype} {array.shape}' if hasattr(array, 'shape') else array!r}")
    return list(arrays.values())


def relu_cap(relu: bool, relu6: bool) -> float | None:
    """Where the ReLU behind batch norm stops, as its kernels are told; None where there is none."""
    return 6.0 if relu6 else np.inf if relu else None


def batch_norm(x: Any, weight: Any, bias: Any, running_mean: Any = None, running_var: Any = None,
               training: bool = True, momentum: float = 0.1, eps: float = 1e-5, *,
               residual: Any = None, relu: bool = False, relu6: bool = False,
               return_stats: bool = False, backend: str | None = None) -> Any:
    """Normalise each channel, then scale and shift it (Ioffe & Szegedy, 2015).

    A residual to add and a ReLU that follow it, as in He et al. (2016), or a ReLU6, come in the
    same pass over memory.

    Parameters
    ----------
    x : (N, C) or (N, C, ...), of any memory layout; channels-last is not copied
    weight, bias : (C,)
    running_mean, running_var : (C,). With `training` they are updated in place (may be None),
        ``new = (1 - momentum) * old + momentum * batch``, the variance unbiased; without, they
        are what x is normalised by.
    residual : of x's shape, added to the result; may be None
    relu : negative results become 0
    relu6 : these do, and those above 6 become 6
    return_stats : with `training`, also return the batch's mean and ``1 / sqrt(var + eps)``,
        which `batch_norm_backward` needs

    Returns
    -------
    y of x's shape and layout, or (y, mean, rstd)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError

    >>> batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0)
    array([[-1.],
           [ 1.]])
    >>> batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0, relu=True)
    array([[0.],
           [1.]])
    """
    x = _by_channel("batch_norm", "x", x)
    weight, bias = _per_channel("batch_norm", x, weight=weight, bias=bias)
    if residual is not None:
        residual = _map_like("batch_norm", "residual", residual, x)
    cap = relu_cap(relu, relu6)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: without training, running_mean and running_var are "
                                "what x is normalised by; got None")
        mean, var = _per_channel("batch_norm", x, running_mean=running_mean,
                                 running_var=running_var)
        y = empty_maps(x.shape, x)
        kernel("batch_norm_inference", x, backend)(
            _flat(x), weight, bias, mean, var, _flat(residual), _flat(y), float(eps), cap)
        return (y, mean, 1 / np.sqrt(var + x.dtype.type(eps))) if return_stats else y
    if x.size // x.shape[1] < 2:
        raise ShapeError(f"batch_norm: training needs more than one value in a channel, x is "
                         f"{x.shape}")
    if (running_mean is None) != (running_var is None):
        raise ArgumentError("batch_norm: give running_mean and running_var, or neither")
    if running_mean is not None:
        _running("batch_norm", x, running_mean=running_mean, running_var=running_var)
    y = empty_maps(x.shape, x)
    mean, rstd = (empty(x.shape[1:2], x.dtype, x) for _ in range(2))
    kernel("batch_norm", x, backend)(_flat(x), weight, bias, _flat(residual), running_mean,
                                     running_var, _flat(y), mean, rstd, float(momentum),
                                     float(eps), cap)
    return (y, mean, rstd) if return_stats else y


def batch_norm_backward(dy: Any, x: Any, weight: Any, mean: Any, rstd: Any,
                        training: bool = True, *, y: Any = None, relu6: bool = False,
                        return_dresidual: bool = False,
                        backend: str | None = None) -> tuple[Array, ...]:
    """Gradients of `batch_norm`.

    Parameters
    ----------
    dy, x : of one shape
    weight : (C,)
    mean, rstd : (C,), those that `batch_norm` returned
    training : False if these were constants of the forward pass
    y : the output of a forward pass with `relu`: the gradient passes only where it is above 0
    relu6 : that pass was with `relu6`, so the gradient passes only where y is below 6, too
    return_dresidual : also return the gradient of the residual, which is what of `dy` passes

    Returns
    -------
    (dx, dw, db) or (dx, dw, db, dresidual); dx and dresidual of x's shape and layout

    Raises
    ------
    ShapeError, DTypeError

    >>> x, mean, rstd = np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0])
    >>> dx, dw, db = batch_norm_backward(np.array([[0.0], [1.0]]), x, np.ones(1), mean, rstd)
    >>> dw, db
    (array([1.]), array([1.]))
    """
    name = "batch_norm_backward"
    x = _by_channel(name, "x", x)
    dy = _map_like(name, "dy", dy, x)
    if y is not None:
        y = _map_like(name, "y", y, x)
    weight, mean, rstd = _per_channel(name, x, weight=weight, mean=mean, rstd=rstd)
    dx = empty_maps(x.shape, x)
    dresidual = empty_maps(x.shape, x) if return_dresidual else None
    dw, db = (empty(x.shape[1:2], x.dtype, x) for _ in range(2))
    kernel(name, x, backend)(_flat(dy), _flat(x), _flat(y), weight, mean, rstd, _flat(dx),
                             _flat(dresidual), dw, db, bool(training), relu_cap(True, relu6))
    return (dx, dw, db) if dresidual is None else (dx, dw, db, dresidual)
