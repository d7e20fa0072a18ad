"""The convolution layer."""

from typing import Any

import numpy as np

from ... import ops
from ...ops._arrays import is_channels_last
from .arrays import bias_vector, laid_out, of_dtype, window_dtype
from .lazy import lazy
from .windows import im2col


class Convolution:
    """Cross-correlation of (N, C, H, W) with (FN, C, FH, FW) filters.

    Parameters
    ----------
    W : (FN, C, FH, FW)
    b : (FN,), or one number for all
    stride, pad : int

    Attributes
    ----------
    x : (N, C, H, W)
        The input.
    col, col_W : arrays
        The receptive fields as rows, the filters as columns; computed when read.
    dW, db : arrays
        From the last `backward`.
    """

    def __init__(self, W: Any, b: Any, stride: int = 1, pad: int = 0) -> None:
        self.W, self.b, self.stride, self.pad = W, b, stride, pad
        self.x: Any = None
        self.dW: Any = None
        self.db: Any = None

    @lazy
    def col(self) -> Any:
        """(N * OH * OW, C * FH * FW)."""
        if self.x is None:
            return None
        FH, FW = self.W.shape[2:]
        return im2col(self.x, FH, FW, self.stride, self.pad)

    @lazy
    def col_W(self) -> Any:
        """(C * FH * FW, FN)."""
        return None if self.x is None else self.W.reshape(len(self.W), -1).T

    def forward(self, x: Any) -> Any:
        """(N, FN, OH, OW), in memory with its channels last, as in the course."""
        return self._forward(x, relu=False)

    def forward_relu(self, x: Any) -> Any:
        """`forward`, then ReLU."""
        return self._forward(x, relu=True)

    def _forward(self, x: Any, *, relu: bool) -> Any:
        x, W, dtype = self._operands(x)
        bias = np.broadcast_to(np.asarray(self.b), W.shape[:1])
        out = ops.conv2d(of_dtype(x, dtype), of_dtype(W, dtype),
                         bias_vector(bias, len(W), dtype), self.stride, self.pad,
                         relu=relu, channels_last=True)
        self.x = x
        return out

    def backward(self, dout: Any) -> Any:
        """Gradient of the input, of its shape."""
        return self._backward(dout, need_dx=True)

    def backward_of_weights(self, dout: Any) -> None:
        """`backward` where nobody takes the gradient of the input."""
        self._backward(dout, need_dx=False)

    def _backward(self, dout: Any, *, need_dx: bool) -> Any:
        x, W, dtype = self._operands(self.x)
        maps, dmaps = (ops.to_channels_last(of_dtype(array, dtype)) for array in (x, dout))
        dx, self.dW, self.db = ops.conv2d_backward(
            dmaps, maps, of_dtype(W, dtype), self.stride, self.pad, need_dx=need_dx)
        return dx if dx is None else laid_out(dx, is_channels_last(x))

    def _operands(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.dtype]:
        x, W = np.asarray(x), np.asarray(self.W)
        return x, W, window_dtype(x, W) or np.dtype(np.float64)
