"""Normalisation layers."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..errors import ArgumentError, ShapeError
from ..ops.groupnorm import feature_shape
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


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W); parameters and attributes are `BatchNorm1d`'s."""

    ranks = (5,)


class LayerNorm(Layer):
    """Normalisation over the last dimensions of each sample (Ba et al., 2016).

    Parameters
    ----------
    normalized_shape : the sizes of these dimensions
    eps : added to the variance
    elementwise_affine : learn a weight, and with `bias` a bias, for each feature

    Attributes
    ----------
    weight, bias : (*normalized_shape)

    >>> LayerNorm(2).forward(np.array([[1.0, 3.0]], np.float32)).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True) -> None:
        self.normalized_shape, self.eps = feature_shape(normalized_shape), eps
        if elementwise_affine:
            self.add_parameter("weight", np.ones(self.normalized_shape, np.float32))
            if bias:
                self.add_parameter("bias", np.zeros(self.normalized_shape, np.float32))

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y, mean, rstd = ops.layer_norm(x, self.normalized_shape, params.get("weight"),
                                       params.get("bias"), self.eps, return_stats=True)
        return y, (x, params.get("weight"), mean, rstd)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        x, *others = saved
        dx, dw, db = ops.layer_norm_backward(dy, x, self.normalized_shape, *others)
        return (dx,), {name: value for name, value in (("weight", dw), ("bias", db))
                       if name in self.params}

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Layer):
    """Normalisation of each group of channels of each sample (Wu & He, 2018).

    Parameters
    ----------
    num_groups : the channels are split into so many groups
    num_channels : int, C
    eps : added to the variance
    affine : learn a weight and a bias for each channel

    Attributes
    ----------
    weight, bias : (C,)

    >>> GroupNorm(2, 4).forward(np.array([[1.0, 3.0, 9.0, 5.0]], np.float32)).round(3)
    array([[-1.,  1.,  1., -1.]], dtype=float32)
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5,
                 affine: bool = True) -> None:
        positive(type(self).__name__, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(f"{type(self).__name__}: num_groups={num_groups} must divide "
                                f"num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        if affine:
            self.add_parameter("weight", np.ones(num_channels, np.float32))
            self.add_parameter("bias", np.zeros(num_channels, np.float32))

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise unless an input may have this shape."""
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ShapeError(f"{type(self).__name__}: expected {self.num_channels} channels, got "
                             f"{shape}")

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        self.check_shape(x.shape)
        y, mean, rstd = ops.group_norm(x, self.num_groups, params.get("weight"),
                                       params.get("bias"), self.eps, return_stats=True)
        return y, (x, params.get("weight"), mean, rstd)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        x, *others = saved
        dx, dw, db = ops.group_norm_backward(dy, x, self.num_groups, *others)
        return (dx,), {"weight": dw, "bias": db} if self.params else {}

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class _InstanceNorm(GroupNorm):
    """What the instance normalisations share; `rank` is how many dimensions x has."""

    rank: ClassVar[int]

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1,
                 affine: bool = False, track_running_stats: bool = False) -> None:
        positive(type(self).__name__, num_features=num_features)
        super().__init__(num_features, num_features, eps, affine)
        self.momentum = momentum
        if track_running_stats:
            self.add_buffer("running_mean", np.zeros(num_features, np.float32))
            self.add_buffer("running_var", np.ones(num_features, np.float32))
            self.add_buffer("num_batches_tracked", np.zeros((), np.int64))

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        if len(shape) != self.rank:
            raise ShapeError(f"{type(self).__name__}: expected {self.rank} dimensions, got {shape}")

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        self.check_shape(x.shape)
        if not self.buffers:
            return super().apply(inputs, params, training)
        if training:
            self._track(x)
            return super().apply(inputs, params, training)
        weight = params["weight"] if params else np.ones(self.num_channels, x.dtype)
        bias = params["bias"] if params else np.zeros(self.num_channels, x.dtype)
        y, mean, rstd = ops.batch_norm(x, weight, bias, self.running_mean, self.running_var, False,
                                       self.momentum, self.eps, return_stats=True)
        return y, (x, weight, mean, rstd)

    def _track(self, x: np.ndarray) -> None:
        """Move the running statistics towards the means of those of the images."""
        axes, count = tuple(range(2, x.ndim)), x[0, 0].size
        mean = x.mean(axes, np.float64).mean(0)
        var = x.var(axes, np.float64).mean(0) * (count / (count - 1))
        for kept, new in ((self.running_mean, mean), (self.running_var, var)):
            kept += (self.momentum * (new - kept)).astype(kept.dtype)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        x, weight, mean, rstd = saved
        if mean.ndim > 1:
            return super().grad(dy, saved)
        dx, dw, db = ops.batch_norm_backward(dy, x, weight, mean, rstd, False)
        return (dx,), {"weight": dw, "bias": db} if self.params else {}

    def extra_repr(self) -> str:
        return f"{self.num_channels}, eps={self.eps}, momentum={self.momentum}"


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L); the rest is `InstanceNorm2d`'s."""

    rank = 3


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W): each map by its own mean (Ulyanov et al., 2016).

    Parameters
    ----------
    num_features : int, C
    eps : added to the variance
    momentum : share of the batch in the running statistics
    affine : learn weight and bias
    track_running_stats : keep statistics, which `eval` mode then uses

    Attributes
    ----------
    weight, bias : (C,)
    running_mean, running_var : (C,)

    >>> InstanceNorm2d(1).forward(np.array([[[[1.0, 3.0]]]], np.float32)).round(3)
    array([[[[-1.,  1.]]]], dtype=float32)
    """

    rank = 4


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W); the rest is `InstanceNorm2d`'s."""

    rank = 5


class LocalResponseNorm(Layer):
    """Each value divided by a power of its neighbours' strength (Krizhevsky et al., 2012).

    The neighbours are in other channels, at the same place; see `fastdl.ops.local_response_norm`.

    Parameters
    ----------
    size : how many channels
    alpha, beta, k : of ``(k + alpha / size * sum(x ** 2)) ** beta``; the paper has 5 * 1e-4, 0.75
        and 2, and a size of 5

    >>> LocalResponseNorm(2).forward(np.ones((1, 1, 1, 1))).round(6)
    array([[[[0.999963]]]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        positive("LocalResponseNorm", size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y, base = ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k,
                                          return_base=True)
        return y, (x, base)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        x, base = saved
        dx = ops.local_response_norm_backward(dy, x, base, self.size, self.alpha, self.beta)
        return (dx,), {}

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
