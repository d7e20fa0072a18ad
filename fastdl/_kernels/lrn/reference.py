"""Local response normalisation across channels (Krizhevsky et al., 2012, section 3.3).

    base = k + alpha / size * sum of x^2 over `size` channels around each,    y = x / base^beta

Of these channels, ``size // 2`` lie before; those that are not there count as 0.

Shapes
    x, y, base, dy, dx       (N, C, L): L positions; base is saved for the backward pass, or None
"""

import numpy as np


def _window_sum(values, before, after):
    """Sum over each channel, `before` channels before and `after` channels behind it."""
    padded = np.pad(values, ((0, 0), (before, after), (0, 0)))
    return sum(padded[:, i:i + values.shape[1]] for i in range(before + 1 + after))


def local_response_norm(x, y, base, size, alpha, beta, k):
    """Fill `y`, and `base` if it is wanted."""
    squares = _window_sum(np.square(x), size // 2, (size - 1) // 2)
    powers = squares * x.dtype.type(alpha / size) + x.dtype.type(k)
    if base is not None:
        base[...] = powers
    y[...] = x * powers ** x.dtype.type(-beta)


def local_response_norm_backward(dy, x, base, dx, size, alpha, beta):
    """Fill `dx`."""
    direct = dy * base ** x.dtype.type(-beta)
    # A channel's base has x in it if it lies as far before x as a neighbour may lie behind.
    around = _window_sum(direct * x / base, (size - 1) // 2, size // 2)
    dx[...] = direct - x * around * x.dtype.type(2 * alpha * beta / size)
