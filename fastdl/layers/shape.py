"""Layers that change sizes, and compute next to nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..errors import ShapeError
from ..ops._arrays import Pair, integers
from ..ops.resize import Sizes
from .layer import Layer


class Flatten(Layer):
    """Everything but the batch in one dimension: (N, ...) to (N, features).

    >>> Flatten().forward(np.zeros((2, 3, 4, 4))).shape
    (2, 48)
    """

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        if x.ndim < 1:
            raise ShapeError("Flatten: x has no batch dimension")
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy.reshape(saved),), {}


class _Pad2d(Layer):
    """What the paddings share."""

    mode: ClassVar[str]
    value = 0.0

    def __init__(self, padding: Pair) -> None:
        self.padding = integers(type(self).__name__, "padding", padding, 0, 4)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.pad(x, self.padding, self.mode, self.value), np.shape(x)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.pad_backward(dy, saved, self.padding, self.mode),), {}

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad2d(_Pad2d):
    """Zeros around feature maps.

    Parameters
    ----------
    padding : one number, or (left, right, top, bottom)

    >>> ZeroPad2d((1, 0, 0, 0)).forward(np.ones((1, 1, 1, 2)))
    array([[[[0., 1., 1.]]]])
    """

    mode = "constant"


class ConstantPad2d(_Pad2d):
    """A value around feature maps.

    Parameters
    ----------
    padding : one number, or (left, right, top, bottom)
    value : float
    """

    mode = "constant"

    def __init__(self, padding: Pair, value: float) -> None:
        super().__init__(padding)
        self.value = float(value)

    def extra_repr(self) -> str:
        return f"{self.padding}, value={self.value}"


class ReflectionPad2d(_Pad2d):
    """Feature maps mirrored at their edge, which is not repeated.

    Parameters
    ----------
    padding : one number, or (left, right, top, bottom)
    """

    mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """The edge of feature maps repeated.

    Parameters
    ----------
    padding : one number, or (left, right, top, bottom)
    """

    mode = "replicate"


class Upsample(Layer):
    """Feature maps of another size, by interpolation; see `fastdl.ops.interpolate`.

    Parameters
    ----------
    size : of the result, one number or one for each spatial dimension
    scale_factor : instead of size, what the sizes are multiplied by
    mode : "nearest", or "linear", "bilinear", "trilinear" as x has dimensions
    align_corners : whether the centres of the corner pixels stay where they are

    >>> Upsample(scale_factor=2).forward(np.array([[[[1.0, 2.0]]]]))
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """

    def __init__(self, size: Sizes | None = None,
                 scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
                 align_corners: bool | None = None) -> None:
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def _settings(self) -> tuple[Any, ...]:
        return self.size, self.scale_factor, self.mode, self.align_corners

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.interpolate(x, *self._settings()), np.shape(x)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.interpolate_backward(dy, saved, *self._settings()),), {}

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.scale_factor is None else (
            f"scale_factor={self.scale_factor}")
        return f"{size}, mode={self.mode!r}"


def flatten(x: Any) -> Any:
    """`Flatten` of a node or an array."""
    return Flatten()(x)
