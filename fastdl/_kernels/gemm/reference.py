"""General matrix product: ``out = alpha * op(a) @ op(b) + beta * out + bias``.

With ``relu``, elements of that below 0 become 0; NaN stays. Where `gate`, the output of a ReLU, is
not above 0, elements become 0, as the gradient of what the ReLU was given must; NaN opens it.

Shapes. Rows are contiguous; between one row and the next there may be a gap, as in a slice
    op(a) (M, K)    a is (K, M) when trans_a
    op(b) (K, N)    b is (N, K) when trans_b
    out   (M, N)    read only when beta is not 0, so it may hold anything then
    bias  (N,) or None: added to every row
    gate  (M, N) or None
"""

import numpy as np


def gemm(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu):
    """Fill `out` with the product."""
    product = np.matmul(a.T if trans_a else a, b.T if trans_b else b)
    if alpha != 1:
        product = product * np.asarray(alpha, out.dtype)
    if beta != 0:
        product = product + np.asarray(beta, out.dtype) * out
    if bias is not None:
        product = product + bias
    if relu:
        product = np.maximum(product, 0)
    out[...] = product if gate is None else np.where(gate <= 0, product.dtype.type(0), product)


def column_sums(x, sums):
    """Fill `sums` (N,) with those of the columns of `x` (M, N): the gradient of a bias."""
    np.sum(x, axis=0, out=sums)
