"""Where branches of a network meet, and gradients of what was read twice."""

import numpy as np


def add(a, b, y):
    """Fill ``y = a + b``, all of one shape and layout; `y` may be `a` or `b`."""
    np.add(a, b, out=y)


def copy_matrix(x, y):
    """Fill ``y = x``, matrices of one shape; their rows may have gaps between them."""
    y[...] = x
