"""ReLU and sigmoid layers."""

from typing import Any

import numpy as np

from ... import ops
from . import functions
from .arrays import kernel_dtype
from .lazy import lazy

_LARGE = 4096                   # elements


class Relu:
    """``max(x, 0)``.

    Attributes
    ----------
    mask : bool array
        Where the input was not above 0.
    """

    def __init__(self) -> None:
        self._y: Any = None

    @lazy
    def mask(self) -> Any:
        """Where `backward` gives 0."""
        return None if self._y is None else self._y <= 0

    def forward(self, x: Any) -> Any:
        """A new array; `x` stays as it is."""
        if x.size >= _LARGE and kernel_dtype(x) == x.dtype:
            # Another than the caller's, who may change that: the kernel needs as long for it as
            # NumPy for a mask, and gradients then take half of the time.
            self.remember(ops.relu(x))
            return ops.relu(x)
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def remember(self, y: Any) -> None:
        """Let `y`, which nobody changes any more, be the last output."""
        vars(self).pop("mask", None)
        self._y = y

    def backward(self, dout: Any) -> Any:
        """`dout` itself, changed in place."""
        y = self._y
        if ("mask" not in vars(self) and type(dout) is np.ndarray and dout.flags.writeable
                and (dout.strides, dout.shape, dout.dtype) == (y.strides, y.shape, y.dtype)):
            return ops.relu_backward(dout, y, out=dout)
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
