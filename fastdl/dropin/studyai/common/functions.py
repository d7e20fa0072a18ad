"""Activations, losses and their derivatives, targets first; windows and numerical gradients."""

from typing import Any

import numpy as np

from ...engine.functions import cross_entropy as _cross_entropy
from ...engine.functions import d_sigmoid, relu, sigmoid
from ...engine.functions import d_softmax_cross_entropy as _d_softmax_cross_entropy
from ...engine.functions import softmax_of_all as _softmax_of_all
from ...engine.functions import softmax_of_rows as _softmax_of_rows
from ...engine.gradient import over_first_axis as numerical_gradient
from ...engine.windows import col2im, im2col

__all__ = [
    "col2im", "cross_entropy_error", "d_mean_squared_error", "d_relu", "d_sigmoid",
    "d_sigmoid_with_loss", "d_softmax_with_loss", "d_step_function", "im2col",
    "mean_squared_error", "np", "numerical_gradient", "relu", "sigmoid", "softmax",
    "softmax_with_loss", "step_function",
]


def step_function(x: Any) -> Any:
    """1 above 0, else 0; integers."""
    return np.where(x > 0, 1, 0)


def softmax(x: Any) -> Any:
    """Of each row of a matrix; of anything else over all its elements."""
    return _softmax_of_rows(x) if x.ndim == 2 else _softmax_of_all(x)


def softmax_with_loss(d: Any, x: Any) -> Any:
    """Cross-entropy of the softmax of `x`."""
    return cross_entropy_error(d, softmax(x))


def mean_squared_error(d: Any, y: Any) -> Any:
    """Half of the mean of squares."""
    return np.mean(np.square(d - y)) / 2


def cross_entropy_error(d: Any, y: Any) -> Any:
    """Mean over the batch of ``-log(y + 1e-7)`` at the target; indices or one-hot."""
    return _cross_entropy(y, d)


def d_relu(x: Any) -> Any:
    """Derivative of `relu`: 1 above 0, else 0; integers."""
    return np.where(x > 0, 1, 0)


def d_step_function(x: Any) -> int:
    """0."""
    return 0


def d_mean_squared_error(d: Any, y: Any) -> Any:
    """``y - d``, over the number of examples if `d` is an array."""
    return (y - d) / d.shape[0] if type(d) is np.ndarray else y - d


def d_softmax_with_loss(d: Any, y: Any) -> Any:
    """Gradient of the scores, from the probabilities `y`; indices or one-hot."""
    return _d_softmax_cross_entropy(y, d)


def d_sigmoid_with_loss(d: Any, y: Any) -> Any:
    """``y - d``."""
    return y - d
