"""Where branches of a network meet, and gradients of what was read twice."""

import numpy as np


def add(a, b, y):
    """Fill ``y = a + b``, all of one shape and layout; `y` may be `a` or `b`."""
    np.add(a, b, out=y)


def multiply(a, b, y):
    """Fill ``y = a * b``, all of one shape and layout; `y` may be `a` or `b`."""
    np.multiply(a, b, out=y)


def scale_maps(x, s, y):
    """Fill ``y = x * s``: x and y (N, C, L) of one layout, s (N, C)."""
    np.multiply(x, s[:, :, None], out=y)


def scale_maps_backward(dy, x, s, dx, ds):
    """Fill ``dx = dy * s`` and ``ds = sum(dy * x)`` over the positions."""
    ds[...] = (dy * x).sum(axis=2)
    np.multiply(dy, s[:, :, None], out=dx)


def copy_matrix(x, y):
    """Fill ``y = x``, matrices of one shape; their rows may have gaps between them."""
    y[...] = x
