"""The dropout layer."""

from typing import Any

import numpy as np


class Dropout:
    """Zeros in training, drawn from NumPy's global state; smaller values in use.

    What stays is not scaled up in training; in use everything is scaled by ``1 - dropout_ratio``.

    Attributes
    ----------
    mask : bool array
        What stayed.
    """

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        self.dropout_ratio = dropout_ratio
        self.mask: Any = None

    def forward(self, x: Any, train_flg: bool = True) -> Any:
        """Of x's shape."""
        if not train_flg:
            return x * (1.0 - self.dropout_ratio)
        self.mask = np.random.rand(*x.shape) > self.dropout_ratio   # noqa: NPY002
        return x * self.mask

    def backward(self, dout: Any) -> Any:
        """Zero where the output was."""
        return dout * self.mask
