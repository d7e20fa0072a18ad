"""Convolution."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import initializers, ops
from ..errors import ArgumentError
from ..ops._arrays import Pair, pair
from .layer import positive
from .weighted import WeightedLayer


class Conv2d(WeightedLayer):
    """Two-dimensional convolution, (N, C, H, W) to (N, OC, OH, OW); see `fastdl.ops.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int, or (height, width)
    groups : channels are split into this many independent convolutions
    bias : bool
    weight_init : name, number (standard deviation) or function; PyTorch's default unless given

    Attributes
    ----------
    weight : (OC, C / groups, KH, KW)
    bias : (OC,)

    >>> layer = Conv2d(3, 8, 3, padding=1)
    >>> layer.forward(np.zeros((2, 3, 9, 9), np.float32)).shape
    (2, 8, 9, 9)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
                 padding: Pair = 0, dilation: Pair = 1, groups: int = 1, bias: bool = True, *,
                 weight_init: str | float | initializers.Initializer = "fan_in_uniform") -> None:
        positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(f"Conv2d: groups={groups} must divide in_channels={in_channels} "
                                f"and out_channels={out_channels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = groups
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.add_weights(shape, bias, weight_init)

    @property
    def _window(self) -> tuple:
        return self.stride, self.padding, self.dilation, self.groups

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.conv2d(x, params["weight"], params.get("bias"), *self._window), (x, params)

    def gradients(self, dy: np.ndarray, x: np.ndarray, weight: np.ndarray, *, bias: bool,
                  need_dx: bool) -> Any:
        return ops.conv2d_backward(dy, x, weight, *self._window, bias=bias, need_dx=need_dx)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts += [f"{name}={value}" for name, value, usual in (
            ("stride", self.stride, (1, 1)), ("padding", self.padding, (0, 0)),
            ("dilation", self.dilation, (1, 1)), ("groups", self.groups, 1),
            ("bias", "bias" in self.params, True)) if value != usual]
        return ", ".join(parts)
