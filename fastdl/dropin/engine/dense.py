"""The dense layer, which the course calls affine."""

from typing import Any

import numpy as np

from ... import ops
from ...ops._arrays import is_channels_last
from .arrays import bias_vector, flat, kernel_dtype, laid_out, of_dtype

_LARGE = 1 << 16                # multiplications; below, np.dot is as fast


def _product(a: np.ndarray, b: np.ndarray, bias: Any = None) -> np.ndarray:
    """``a @ b``, plus a vector where one is given."""
    if (a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype == b.dtype
            and a.dtype.char in "fd" and a.size * b.shape[1] >= _LARGE):
        return ops.gemm(a, b, bias=bias)
    product = np.dot(a, b)
    return product if bias is None else product + bias


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
        self.original_x_shape = x.shape
        self._channels_last = is_channels_last(x)
        x = self.x = flat(x)
        W, b = self.W, self.b
        dtype = kernel_dtype(x, W)
        if dtype is None:
            return np.dot(x, W) + b
        bias = bias_vector(b, W.shape[-1], dtype)
        out = _product(of_dtype(x, dtype), of_dtype(W, dtype), bias)
        return out if bias is not None else (out + b).astype(dtype, copy=False)

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
