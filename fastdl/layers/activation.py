"""Activation layers, and the same as functions on nodes or arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError
from .layer import Layer


class ReLU(Layer):
    """Rectifier, ``max(x, 0)``."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        y = ops.relu(*inputs)
        return y, y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.relu_backward(dy, saved),), {}


class ReLU6(Layer):
    """Rectifier that stops at 6, ``min(max(x, 0), 6)``."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        y = ops.relu6(*inputs)
        return y, y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.relu6_backward(dy, saved),), {}


class LeakyReLU(Layer):
    """``x`` above 0, ``negative_slope * x`` elsewhere (Maas et al., 2013).

    Parameters
    ----------
    negative_slope : slope below 0
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.leaky_relu(x, self.negative_slope), x

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.leaky_relu_backward(dy, saved, self.negative_slope),), {}

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Layer):
    """Logistic function, ``1 / (1 + exp(-x))``."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        y = ops.sigmoid(*inputs)
        return y, y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.sigmoid_backward(dy, saved),), {}


class Tanh(Layer):
    """Hyperbolic tangent."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        y = ops.tanh(*inputs)
        return y, y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.tanh_backward(dy, saved),), {}


class SiLU(Layer):
    """Sigmoid-weighted linear unit or swish, ``x * sigmoid(x)`` (Ramachandran et al., 2017)."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.silu(x), x

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.silu_backward(dy, saved),), {}


class Hardsigmoid(Layer):
    """Sigmoid of straight lines, ``min(max(x + 3, 0), 6) / 6`` (Howard et al., 2019)."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        y = ops.hardsigmoid(*inputs)
        return y, y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.hardsigmoid_backward(dy, saved),), {}


class Hardswish(Layer):
    """Swish of straight lines, ``x * hardsigmoid(x)`` (Howard et al., 2019)."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.hardswish(x), x

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.hardswish_backward(dy, saved),), {}


class GELU(Layer):
    """Gaussian error linear unit, ``x * Phi(x)`` (Hendrycks & Gimpel, 2016).

    Parameters
    ----------
    approximate : "tanh" for the approximation that has no error function; see `fastdl.ops.gelu`
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.gelu(x, self.approximate), x

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.gelu_backward(dy, saved, self.approximate),), {}

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along a dimension.

    Parameters
    ----------
    dim : the dimension that sums to 1
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y = ops.softmax(x, self.dim)
        return y, y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.softmax_backward(dy, saved, self.dim),), {}

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


def relu(x: Any) -> Any:
    """`ReLU` of a node or an array.

    >>> relu(np.array([-1.0, 1.0]))
    array([0., 1.])
    """
    return ReLU()(x)


def relu6(x: Any) -> Any:
    """`ReLU6` of a node or an array."""
    return ReLU6()(x)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """`LeakyReLU` of a node or an array."""
    return LeakyReLU(negative_slope)(x)


def sigmoid(x: Any) -> Any:
    """`Sigmoid` of a node or an array."""
    return Sigmoid()(x)


def tanh(x: Any) -> Any:
    """`Tanh` of a node or an array."""
    return Tanh()(x)


def silu(x: Any) -> Any:
    """`SiLU` of a node or an array."""
    return SiLU()(x)


def hardsigmoid(x: Any) -> Any:
    """`Hardsigmoid` of a node or an array."""
    return Hardsigmoid()(x)


def hardswish(x: Any) -> Any:
    """`Hardswish` of a node or an array."""
    return Hardswish()(x)


def gelu(x: Any, approximate: str = "none") -> Any:
    """`GELU` of a node or an array."""
    return GELU(approximate)(x)


def softmax(x: Any, dim: int = -1) -> Any:
    """`Softmax` of a node or an array."""
    return Softmax(dim)(x)
