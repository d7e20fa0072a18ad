"""Windows as matrices, and small helpers."""

from typing import Any

import numpy as np

from ...engine.windows import col2im, im2col

__all__ = ["col2im", "conv_output_size", "im2col", "np", "shuffle_dataset", "smooth_curve"]


def smooth_curve(x: Any) -> Any:
    """A curve smoothed with a Kaiser window of 11, as long as `x`."""
    length = 11
    mirrored = np.r_[x[length - 1:0:-1], x, x[-1:-length:-1]]
    window = np.kaiser(length, 2)
    smooth = np.convolve(window / window.sum(), mirrored, mode="valid")
    return smooth[5:len(smooth) - 5]


def shuffle_dataset(x: Any, t: Any) -> tuple[Any, Any]:
    """Examples and targets in one random order, drawn from NumPy's global state."""
    order = np.random.permutation(x.shape[0])       # noqa: NPY002
    return x[order], t[order]


def conv_output_size(input_size: int, filter_size: int, stride: int = 1, pad: int = 0) -> float:
    """Height or width after a convolution, not rounded.

    >>> conv_output_size(28, 5)
    24.0
    """
    return (input_size + 2 * pad - filter_size) / stride + 1
