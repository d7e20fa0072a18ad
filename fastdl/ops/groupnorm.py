"""Layer, instance and group normalisation, and their gradients."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, Shaped, empty, expect_shape, kernel, real, real_like


def groups_of(operation: str, x: Shaped, num_groups: int) -> tuple[int, ...]:
    """The shape (N, G, K, L) in which the kernel sees groups of channels."""
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ShapeError(f"{operation}: x must be (N, C) or (N, C, ...), got {x.shape}")
    N, C = x.shape[:2]
    if not isinstance(num_groups, int | np.integer) or num_groups < 1 or C % num_groups:
        raise ArgumentError(f"{operation}: num_groups must divide the {C} channels of x, got "
                            f"{num_groups!r}")
    return N, int(num_groups), C // int(num_groups), math.prod(x.shape[2:])


def feature_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """The sizes as a tuple."""
    return tuple(np.atleast_1d(normalized_shape).tolist())


def features_of(operation: str, x: Shaped, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (rows, 1, features, 1) in which it sees the last dimensions."""
    if not shape or x.ndim < len(shape) or x.shape[x.ndim - len(shape):] != shape or 0 in shape:
        raise ShapeError(f"{operation}: x must end in the dimensions {shape}, got {x.shape}")
    features = math.prod(shape)
    return math.prod(x.shape) // features, 1, features, 1


def _parameter(operation: str, name: str, value: Any, fill: float, x: Array,
               shape: tuple[int, ...], seen: tuple[int, ...]) -> Array:
    """A weight or bias as its kernel sees it; `fill` where there is none."""
    if value is None:
        return np.full(seen[1:3], fill, x.dtype)
    value = real_like(operation, name, value, x, "x")
    expect_shape(operation, name, value, shape, "one for each that is normalised by itself")
    return value.reshape(seen[1:3])


def _normalised(operation: str, x: Array, seen: tuple[int, ...], shape: tuple[int, ...],
                weight: Any, bias: Any, eps: float, return_stats: bool, backend: str | None) -> Any:
    weight = _parameter(operation, "weight", weight, 1, x, shape, seen)
    bias = _parameter(operation, "bias", bias, 0, x, shape, seen)
    y = empty(x.shape, x.dtype)
    mean, rstd = (np.empty(seen[:2], x.dtype) for _ in range(2))
    kernel("group_norm", x, backend)(x.reshape(seen), weight, bias, y.reshape(seen), mean, rstd,
                                     float(eps))
    return (y, mean, rstd) if return_stats else y


def _gradients(operation: str, dy: Any, x: Array, seen: tuple[int, ...], shape: tuple[int, ...],
               weight: Any, mean: Any, rstd: Any,
               backend: str | None) -> tuple[Array, Array, Array]:
    dy = real_like(operation, "dy", dy, x, "x")
    expect_shape(operation, "dy", dy, x.shape, "the shape of x")
    weight = _parameter(operation, "weight", weight, 1, x, shape, seen)
    stats = []
    for name, value in (("mean", mean), ("rstd", rstd)):
        value = real_like(operation, name, value, x, "x")
        expect_shape(operation, name, value, seen[:2], "as the forward pass returned it")
        stats.append(value)
    dx, dw, db = empty(x.shape, x.dtype), np.empty(shape, x.dtype), np.empty(shape, x.dtype)
    kernel("group_norm_backward", x, backend)(
        dy.reshape(seen), x.reshape(seen), weight, *stats, dx.reshape(seen),
        dw.reshape(seen[1:3]), db.reshape(seen[1:3]))
    return dx, dw, db


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *,
               return_stats: bool = False, backend: str | None = None) -> Any:
    """Normalise each group of channels of each image (Wu & He, 2018).

    With as many groups as channels this is instance normalisation (Ulyanov et al., 2016).

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    num_groups : the channels are split into so many groups
    weight, bias : (C,), what then scales and shifts; 1 and 0 unless given
    return_stats : also return mean and ``1 / sqrt(var + eps)``, which `group_norm_backward` needs

    Returns
    -------
    y of x's shape, or (y, mean, rstd), the last two (N, num_groups)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError

    >>> group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    x = real("group_norm", "x", x)
    seen = groups_of("group_norm", x, num_groups)
    return _normalised("group_norm", x, seen, x.shape[1:2], weight, bias, eps, return_stats,
                       backend)


def group_norm_backward(dy: Any, x: Any, num_groups: int, weight: Any, mean: Any, rstd: Any, *,
                        backend: str | None = None) -> tuple[Array, Array, Array]:
    """Gradients of `group_norm`.

    Parameters
    ----------
    dy, x : of one shape
    num_groups, weight : as they were in `group_norm`
    mean, rstd : those that it returned

    Returns
    -------
    dx, dw, db : of the shapes of x, and (C,)
    """
    x = real("group_norm_backward", "x", x)
    seen = groups_of("group_norm_backward", x, num_groups)
    return _gradients("group_norm_backward", dy, x, seen, x.shape[1:2], weight, mean, rstd, backend)


def layer_norm(x: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None,
               eps: float = 1e-5, *, return_stats: bool = False, backend: str | None = None) -> Any:
    """Normalise over the last dimensions (Ba et al., 2016).

    Parameters
    ----------
    x : (..., *normalized_shape)
    normalized_shape : the sizes of the dimensions that share a mean and a variance
    weight, bias : (*normalized_shape), what then scales and shifts; 1 and 0 unless given
    return_stats : also return mean and ``1 / sqrt(var + eps)``, which `layer_norm_backward` needs

    Returns
    -------
    y of x's shape, or (y, mean, rstd), the last two (rows, 1)

    Raises
    ------
    ShapeError, DTypeError

    >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    x, shape = real("layer_norm", "x", x), feature_shape(normalized_shape)
    seen = features_of("layer_norm", x, shape)
    return _normalised("layer_norm", x, seen, shape, weight, bias, eps, return_stats, backend)


def layer_norm_backward(dy: Any, x: Any, normalized_shape: int | Sequence[int], weight: Any,
                        mean: Any, rstd: Any, *,
                        backend: str | None = None) -> tuple[Array, Array, Array]:
    """Gradients of `layer_norm`.

    Parameters
    ----------
    dy, x : of one shape
    normalized_shape, weight : as they were in `layer_norm`
    mean, rstd : those that it returned

    Returns
    -------
    dx, dw, db : of the shapes of x, weight and bias
    """
    x, shape = real("layer_norm_backward", "x", x), feature_shape(normalized_shape)
    seen = features_of("layer_norm_backward", x, shape)
    return _gradients("layer_norm_backward", dy, x, seen, shape, weight, mean, rstd, backend)
