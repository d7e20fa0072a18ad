"""Normalisation layers."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..errors import ShapeError
from .layer import Layer, positive


class _BatchNorm(Layer):
    """What the batch normalisations share; `ranks` is how many dimensions x may have."""

    ranks: ClassVar[tuple[int, ...]]

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1,
                 affine: bool = True, track_running_stats: bool = True) -> None:
        positive(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        if affine:
            self.add_parameter("weight", np.ones(num_features, np.float32))
            self.add_parameter("bias", np.zeros(num_features, np.float32))
        if track_running_stats:
            self.add_buffer("running_mean", np.zeros(num_features, np.float32))
            self.add_buffer("running_var", np.ones(num_features, np.float32))
            self.add_buffer("num_batches_tracked", np.zeros((), np.int64))

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise unless an input may have this shape."""
        if len(shape) not in self.ranks or shape[1] != self.num_features:
            raise ShapeError(f"{type(self).__name__}: expected {self.num_features} channels and "
                             f"{' or '.join(map(str, self.ranks))} dimensions, got {shape}")

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        self.check_shape(x.shape)
        running = self.buffers.get("running_mean"), self.buffers.get("running_var")
        use_batch = training or running[0] is None
        weight = params["weight"] if params else np.ones(self.num_features, x.dtype)
        bias = params["bias"] if params else np.zeros(self.num_features, x.dtype)
        y, mean, rstd = ops.batch_norm(x, weight, bias, *running, use_batch, self.momentum,
                                       self.eps, return_stats=True)
        if training and "num_batches_tracked" in self.buffers:
            self.buffers["num_batches_tracked"] += 1
        return y, (x, weight, mean, rstd, use_batch)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        dx, dw, db = ops.batch_norm_backward(dy, *saved)
        return (dx,), {"weight": dw, "bias": db} if self.params else {}

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L).

    Each channel is normalised over the batch, then scaled and shifted (Ioffe & Szegedy, 2015).

    Parameters
    ----------
    num_features : int, C
    eps : added to the variance
    momentum : share of the batch in the running statistics
    affine : learn weight and bias
    track_running_stats : keep the statistics that `eval` mode uses

    Attributes
    ----------
    weight, bias : (C,)
    running_mean, running_var : (C,)
    num_batches_tracked : int64

    >>> BatchNorm1d(2).forward(np.array([[1.0, 5.0], [3.0, 9.0]], np.float32)).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W); parameters and attributes are `BatchNorm1d`'s."""

    ranks = (4,)
