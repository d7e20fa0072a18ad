"""Where branches meet: layers with several inputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import ops
from .layer import Layer


class Add(Layer):
    """Sum of inputs of one shape: the residual connection (He et al., 2016).

    >>> Add().forward(np.ones(2), np.ones(2))
    array([2., 2.])
    """

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        return ops.add(*inputs), len(inputs)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy,) * saved, {}


class Mean(Layer):
    """Mean of inputs of one shape."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        total = ops.add(*inputs)
        return total / total.dtype.type(len(inputs)), len(inputs)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy / dy.dtype.type(saved),) * saved, {}


class Multiply(Layer):
    """Elementwise product of two inputs, by NumPy's rules of broadcasting.

    Maps (N, C, H, W) times (N, C, 1, 1) are channel attention (Hu et al., 2018).
    """

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        a, b = inputs
        return ops.multiply(a, b), (a, b)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return ops.multiply_backward(dy, *saved), {}


class Concat(Layer):
    """Inputs side by side (Szegedy et al., 2015).

    Parameters
    ----------
    axis : along which, the channels unless told; the other sizes must agree
    """

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        return ops.concat(inputs, self.axis), [np.shape(x)[self.axis] for x in inputs]

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return tuple(ops.split(dy, saved, self.axis)), {}

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


def add(*inputs: Any) -> Any:
    """`Add` of nodes or arrays."""
    return Add()(*inputs)


def mean(*inputs: Any) -> Any:
    """`Mean` of nodes or arrays: of the inputs, element by element.

    >>> mean(np.zeros(2), np.ones(2))
    array([0.5, 0.5])
    """
    return Mean()(*inputs)


def multiply(a: Any, b: Any) -> Any:
    """`Multiply` of nodes or arrays."""
    return Multiply()(a, b)


def concat(inputs: Any, axis: int = 1) -> Any:
    """`Concat` of a list of nodes or arrays.

    >>> concat([np.zeros((1, 1)), np.ones((1, 2))])
    array([[0., 1., 1.]])
    """
    return Concat(axis)(*inputs)
