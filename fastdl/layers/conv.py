"""Convolutions, of one to three dimensions, and transposed ones."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .. import initializers, ops
from ..errors import ArgumentError
from ..ops._arrays import Pair, integers
from ..ops.pad import MODES
from .layer import positive
from .weighted import WeightedLayer


class _Conv(WeightedLayer):
    """What all convolutions share; `rank` is how many spatial dimensions they have."""

    rank: ClassVar[int]
    transposed: ClassVar[bool] = False

    def _setup(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair,
               padding: Pair, dilation: Pair, groups: int, bias: bool,
               weight_init: str | float | initializers.Initializer) -> None:
        name = type(self).__name__
        positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(f"{name}: groups={groups} must divide in_channels={in_channels} "
                                f"and out_channels={out_channels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = integers(name, "kernel_size", kernel_size, 1, self.rank)
        self.stride = integers(name, "stride", stride, 1, self.rank)
        self.padding = integers(name, "padding", padding, 0, self.rank)
        self.dilation = integers(name, "dilation", dilation, 1, self.rank)
        self.groups = groups
        first, second = out_channels, in_channels
        if self.transposed:
            first, second = second, first
        shape = (first, second // groups, *self.kernel_size)
        self.add_weights(shape, bias, weight_init, outputs=out_channels)

    def _operation(self, name: str) -> Any:
        """The operation of this rank, or its gradients."""
        return getattr(ops, name.format(f"conv{'_transpose' * self.transposed}{self.rank}d"))

    @property
    def window(self) -> tuple:
        """What the operation takes behind x, weight and bias."""
        return self.stride, self.padding, self.dilation, self.groups

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y = self._operation("{}")(x, params["weight"], params.get("bias"), *self.window)
        return y, (x, params)

    def gradients(self, dy: np.ndarray, x: np.ndarray, weight: np.ndarray, *, bias: bool,
                  need_dx: bool) -> Any:
        return self._operation("{}_backward")(dy, x, weight, *self.window, bias=bias,
                                              need_dx=need_dx)

    def _settings(self) -> tuple[tuple[str, Any, Any], ...]:
        """Name, value and default of what the representation mentions if it is unusual."""
        ones, zeros = (1,) * self.rank, (0,) * self.rank
        return (("stride", self.stride, ones), ("padding", self.padding, zeros),
                ("dilation", self.dilation, ones), ("groups", self.groups, 1),
                ("bias", "bias" in self.params, True))

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts += [f"{name}={value}" for name, value, usual in self._settings() if value != usual]
        return ", ".join(parts)


class _ForwardConv(_Conv):
    """What the convolutions that are not transposed share: the padding may be no zeros."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
                 padding: Pair = 0, dilation: Pair = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", *,
                 weight_init: str | float | initializers.Initializer = "fan_in_uniform") -> None:
        if padding_mode not in ("zeros", *MODES[1:]):
            raise ArgumentError(f"{type(self).__name__}: padding_mode must be one of zeros, "
                                f"{', '.join(MODES[1:])}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self._setup(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
                    weight_init)

    @property
    def around(self) -> tuple[int, ...] | None:
        """What the input is padded by before, as `ops.pad` has it; None where zeros are meant."""
        if self.padding_mode == "zeros":
            return None
        return tuple(p for p in reversed(self.padding) for _ in range(2))

    @property
    def window(self) -> tuple:
        padding = self.padding if self.around is None else 0
        return self.stride, padding, self.dilation, self.groups

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        if self.around is not None:
            inputs = (ops.pad(inputs[0], self.around, self.padding_mode),)
        return super().apply(inputs, params, training)

    def gradients(self, dy: np.ndarray, x: np.ndarray, weight: np.ndarray, *, bias: bool,
                  need_dx: bool) -> Any:
        dx, dw, db = super().gradients(dy, x, weight, bias=bias, need_dx=need_dx)
        if dx is not None and self.around is not None:
            shape = (*x.shape[:2], *(n - 2 * p for n, p in zip(x.shape[2:], self.padding,
                                                               strict=True)))
            dx = ops.pad_backward(dx, shape, self.around, self.padding_mode)
        return dx, dw, db

    def _settings(self) -> tuple[tuple[str, Any, Any], ...]:
        return (*super()._settings(), ("padding_mode", self.padding_mode, "zeros"))


class Conv2d(_ForwardConv):
    """Two-dimensional convolution, (N, C, H, W) to (N, OC, OH, OW); see `fastdl.ops.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int, or (height, width)
    groups : channels are split into this many independent convolutions
    bias : bool
    padding_mode : what the padding holds: "zeros", "reflect", "replicate" or "circular"
    weight_init : name, number (standard deviation) or function; PyTorch's default unless given

    Attributes
    ----------
    weight : (OC, C / groups, KH, KW)
    bias : (OC,)

    >>> layer = Conv2d(3, 8, 3, padding=1)
    >>> layer.forward(np.zeros((2, 3, 9, 9), np.float32)).shape
    (2, 8, 9, 9)
    """

    rank = 2


class Conv1d(_ForwardConv):
    """Convolution of rows, (N, C, L) to (N, OC, OL); parameters and attributes are `Conv2d`'s."""

    rank = 1


class Conv3d(_ForwardConv):
    """Convolution of volumes, (N, C, D, H, W) to (N, OC, OD, OH, OW) (Tran et al., 2015).

    Parameters and attributes are `Conv2d`'s; see `fastdl.ops.conv3d`.
    """

    rank = 3


class _TransposedConv(_Conv):
    """What the transposed convolutions share."""

    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
                 padding: Pair = 0, output_padding: Pair = 0, groups: int = 1, bias: bool = True,
                 dilation: Pair = 1, *,
                 weight_init: str | float | initializers.Initializer = "fan_in_uniform") -> None:
        self.output_padding = integers(type(self).__name__, "output_padding", output_padding, 0,
                                       self.rank)
        self._setup(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
                    weight_init)

    @property
    def window(self) -> tuple:
        return self.stride, self.padding, self.output_padding, self.groups, self.dilation

    def _settings(self) -> tuple[tuple[str, Any, Any], ...]:
        return (*super()._settings(), ("output_padding", self.output_padding, (0,) * self.rank))


class ConvTranspose2d(_TransposedConv):
    """Transposed convolution, (N, C, H, W) to (N, OC, OH, OW); see `fastdl.ops.conv_transpose2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int, or (height, width), of the convolution whose way
        back this is
    output_padding : rows and columns more at the end
    groups : channels are split into this many independent convolutions
    bias : bool
    weight_init : name, number (standard deviation) or function; PyTorch's default unless given

    Attributes
    ----------
    weight : (C, OC / groups, KH, KW)
    bias : (OC,)

    >>> layer = ConvTranspose2d(3, 8, 2, stride=2)
    >>> layer.forward(np.zeros((2, 3, 4, 4), np.float32)).shape
    (2, 8, 8, 8)
    """

    rank = 2


class ConvTranspose1d(_TransposedConv):
    """Transposed convolution of rows, (N, C, L) to (N, OC, OL); the rest is `ConvTranspose2d`'s."""

    rank = 1


class ConvTranspose3d(_TransposedConv):
    """Transposed convolution of volumes (N, C, D, H, W); the rest is `ConvTranspose2d`'s."""

    rank = 3
