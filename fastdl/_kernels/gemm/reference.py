"""General matrix product: ``out = alpha * op(a) @ op(b) + beta * out + bias``.

With ``relu``, elements of that below 0 become 0; NaN stays.

Shapes. Rows are contiguous; between one row and the next there may be a gap, as in a slice
    op(a) (M, K)    a is (K, M) when trans_a
    op(b) (K, N)    b is (N, K) when trans_b
    out   (M, N)    read only when beta is not 0, so it may hold anything then
    bias  (N,) or None: added to every row
"""

import numpy as np


def gemm(a, b, bias, out, trans_a, trans_b, alpha, beta, relu):
    """Fill `out` with the product."""
    product = np.matmul(a.T if trans_a else a, b.T if trans_b else b)
    if alpha != 1:
        product = product * np.asarray(alpha, out.dtype)
    if beta != 0:
        product = product + np.asarray(beta, out.dtype) * out
    if bias is not None:
        product = product + bias
    out[...] = np.maximum(product, 0) if relu else product
