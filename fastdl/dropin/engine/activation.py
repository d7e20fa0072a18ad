"""ReLU and sigmoid layers."""

from typing import Any

import numpy as np

from ... import ops
from . import functions
from .arrays import kernel_dtype

_LARGE = 4096                   # elements


def _in_memory_order(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays with their axes in the order in which the first lies in memory."""
    order = sorted(range(arrays[0].ndim), key=lambda axis: -arrays[0].strides[axis])
    return tuple(array.transpose(order) for array in arrays)


class Relu:
    """``max(x, 0)``.

    Attributes
    ----------
    mask : bool array
        Where the input was not above 0.
    """

    def __init__(self) -> None:
        self.mask: Any = None

    def forward(self, x: Any) -> Any:
        """A new array; `x` stays as it is."""
        self.mask = x <= 0
        if x.size >= _LARGE and kernel_dtype(x) == x.dtype:
            return ops.relu(x)
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout: Any) -> Any:
        """`dout` itself, changed in place."""
        if dout.size >= _LARGE and kernel_dtype(dout) == dout.dtype:
            dx, mask = _in_memory_order(dout, self.mask)
            # Of the bits, since 0 times infinity is not 0; an indexed assignment takes ten times
            # as long.
            bits = dx.view(f"i{dx.itemsize}")
            np.multiply(bits, ~mask, out=bits)
        else:
            dout[self.mask] = 0
        return dout


class Sigmoid:
    """``1 / (1 + exp(-x))``.

    Attributes
    ----------
    out : array
        What `forward` returned.
    """

    def __init__(self) -> None:
        self.out: Any = None

    def forward(self, x: Any) -> Any:
        """The function of each element."""
        self.out = functions.sigmoid(x)
        return self.out

    def backward(self, dout: Any) -> Any:
        """``dout * (1 - out) * out``."""
        out = self.out
        if out.size >= _LARGE and kernel_dtype(dout, out) == out.dtype == dout.dtype:
            return ops.sigmoid_backward(dout, out)
        return dout * (1.0 - out) * out
