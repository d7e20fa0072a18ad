"""The dense layer, which the course calls affine."""

from typing import Any

import numpy as np

from ... import ops
from ...ops._arrays import is_channels_last
from .arrays import bias_vector, flat, kernel_dtype, laid_out, of_dtype

_LARGE = 1 << 16                # multiplications; below, np.dot is as fast


def _product(a: np.ndarray, b: np.ndarray, bias: Any = None, *,
             relu: bool = False) -> np.ndarray:
    """``a @ b``, plus a vector where one is given; then ReLU if it is asked for."""
    if (a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype == b.dtype
            and a.dtype.char in "fd" and a.size * b.shape[1] >= _LARGE):
        return ops.gemm(a, b, bias=bias, relu=relu)
    product = np.dot(a, b)
    if bias is not None:
        product = product + bias
    return np.maximum(product, 0) if relu else product


class Affine:
    """``x @ W + b``, where whatever has more than two dimensions is flattened first.

    Parameters
    ----------
    W : (in, out)
    b : (out,), or what NumPy adds to (N, out)

    Attributes
    ----------
    x : (N, in)
        The flattened input.
    original_x_shape : tuple
    dW, db : arrays
        From the last `backward`.
    """

    def __init__(self, W: Any, b: Any) -> None:
        self.W, self.b = W, b
        self.x: Any = None
        self.original_x_shape: Any = None
        self._channels_last = False
        self.dW: Any = None
        self.db: Any = None

    def forward(self, x: Any) -> Any:
        """(N, ...) to (N, out)."""
        return self._forward(x, relu=False)

    def forward_relu(self, x: Any) -> Any:
        """`forward`, then ReLU."""
        return self._forward(x, relu=True)

    def _forward(self, x: Any, *, relu: bool) -> Any:
        self.original_x_shape = x.shape
        self._channels_last = is_channels_last(x)
        x = self.x = flat(x)
        W, b = self.W, self.b
        dtype = kernel_dtype(x, W)
        bias = None
        if dtype is not None:
            x, W, bias = of_dtype(x, dtype), of_dtype(W, dtype), bias_vector(b, W.shape[-1], dtype)
        if bias is not None:
            return _product(x, W, bias, relu=relu)
        out = _product(x, W) + b
        if dtype is not None:
            out = out.astype(dtype, copy=False)
        return np.maximum(out, 0) if relu else out

    def backward(self, dout: Any) -> Any:
        """(N, out) to the shape of what came in."""
        W, dtype = self.W, kernel_dtype(self.x, self.W, dout)
        if dtype is not None:
            W, dout = of_dtype(W, dtype), of_dtype(dout, dtype)
        self.backward_of_weights(dout)
        return laid_out(_product(dout, W.T).reshape(self.original_x_shape), self._channels_last)

    def backward_of_weights(self, dout: Any) -> None:
        """`backward` where nobody takes the gradient of the input."""
        x, dtype = self.x, kernel_dtype(self.x, self.W, dout)
        if dtype is not None:
            x, dout = of_dtype(x, dtype), of_dtype(dout, dtype)
        self.dW = _product(x.T, dout)
        self.db = np.sum(dout, axis=0)
