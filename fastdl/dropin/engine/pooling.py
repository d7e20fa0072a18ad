"""The max pooling layer."""

from typing import Any

import numpy as np

from ... import ops
from ...ops._arrays import is_channels_last
from .arrays import laid_out, of_dtype, window_dtype
from .windows import col2im, im2col


class Pooling:
    """Largest value of each window of (N, C, H, W).

    Parameters
    ----------
    pool_h, pool_w, stride, pad : int
        The default of `stride` is the profile's. Padding is zeros, which may be the largest.

    Attributes
    ----------
    x : (N, C, H, W)
        The input.
    arg_max : (N * OH * OW * C,) int
        Where in its window each output was.
    """

    def __init__(self, pool_h: int, pool_w: int, stride: int, pad: int = 0) -> None:
        self.pool_h, self.pool_w, self.stride, self.pad = pool_h, pool_w, stride, pad
        self.x: Any = None
        self._indices: Any = None

    @property
    def arg_max(self) -> Any:
        """Indices ``row * pool_w + column``, in the order of (N, OH, OW, C)."""
        if self._indices is None:
            return None
        return self._indices.transpose(0, 2, 3, 1).reshape(-1).astype(np.int64)

    def forward(self, x: Any) -> Any:
        """(N, C, OH, OW)."""
        x = np.asarray(x)
        dtype = window_dtype(x) or np.dtype(np.float64)
        window = (self.pool_h, self.pool_w)
        if self.pad:
            out, self._indices = self._padded(x)
        else:
            out, self._indices = ops.max_pool2d(of_dtype(x, dtype), window, self.stride,
                                                return_indices=True)
        self.x = x
        return out

    def backward(self, dout: Any) -> Any:
        """Each output's gradient at the place of the maximum; of the input's shape."""
        dout = np.asarray(dout)
        dtype = window_dtype(dout) or np.dtype(np.float64)
        if self.pad:
            return self._padded_backward(of_dtype(dout, dtype))
        dout = laid_out(of_dtype(dout, dtype), is_channels_last(self._indices))
        return ops.max_pool2d_backward(dout, self._indices, self.x.shape,
                                       (self.pool_h, self.pool_w), self.stride)

    def _padded(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """With zeros around that take part; the output's size leaves them out, as in the course."""
        N, C, H, W = x.shape
        OH, OW = 1 + (H - self.pool_h) // self.stride, 1 + (W - self.pool_w) // self.stride
        fields = im2col(x, self.pool_h, self.pool_w, self.stride, self.pad)
        fields = fields.reshape(N, OH, OW, C, self.pool_h * self.pool_w)
        return (fields.max(axis=-1).transpose(0, 3, 1, 2),
                fields.argmax(axis=-1).transpose(0, 3, 1, 2))

    def _padded_backward(self, dout: np.ndarray) -> np.ndarray:
        indices = self._indices.transpose(0, 2, 3, 1)[..., None]
        fields = np.zeros((*indices.shape[:-1], self.pool_h * self.pool_w), dout.dtype)
        np.put_along_axis(fields, indices, dout.transpose(0, 2, 3, 1)[..., None], axis=-1)
        return col2im(fields, self.x.shape, self.pool_h, self.pool_w, self.stride, self.pad)
