"""Matrix product, and the dense layer made of it."""

import math
from typing import Any

from ..errors import ShapeError
from ._arrays import Array, Shaped, common, empty, expect_shape, has_rows, kernel, real_like


def gemm(a: Any, b: Any, *, trans_a: bool = False, trans_b: bool = False, alpha: float = 1.0,
         beta: float = 0.0, c: Any = None, bias: Any = None, relu: bool = False,
         backend: str | None = None) -> Array:
    """``alpha * op(a) @ op(b) + beta * c + bias``, or the larger of that and 0 with `relu`.

    Parameters
    ----------
    a, b : (M, K) and (K, N), or their transposes with `trans_a`, `trans_b`. Slices and transposes
        of larger matrices are read where they are, unless neither their rows nor their columns are
        contiguous
    c : (M, N), required when `beta` is not 0; it is not changed
    bias : (N,), added to every row
    relu : whether negative elements of the result become 0

    Returns
    -------
    (M, N) array

    Raises
    ------
    ShapeError, DTypeError
        before any kernel runs

    >>> import numpy as np
    >>> gemm(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), bias=np.array([10.0, 20.0]))
    array([[11., 22.],
           [13., 24.]])
    """
    a, b, c, bias = common("gemm", _FACTORS, a=a, b=b, c=c, bias=bias)
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"gemm: a and b must have 2 dimensions, got {a.shape} and {b.shape}")
    M, K = a.shape[::-1] if trans_a else a.shape
    Kb, N = b.shape[::-1] if trans_b else b.shape
    if Kb != K:
        raise ShapeError(f"gemm: op(a) {M, K} and op(b) {Kb, N} do not chain: {K} columns, "
                         f"{Kb} rows")
    if bias is not None:
        expect_shape("gemm", "bias", bias, (N,), "one for each column")
    if beta != 0:
        if c is None:
            raise ShapeError(f"gemm: beta is {beta}, so c is needed")
        expect_shape("gemm", "c", c, (M, N), "the shape of the product")
        out = c.copy()
    else:
        out = empty((M, N), a.dtype, a)
    a, trans_a = _by_rows(a, trans_a)
    b, trans_b = _by_rows(b, trans_b)
    kernel("gemm", a, backend)(a, b, bias, None, out, trans_a, trans_b, float(alpha), float(beta),
                               bool(relu))
    return out


def _is_factor(array: Array) -> bool:
    return has_rows(array) or has_rows(array.T)


_FACTORS = {"a": _is_factor, "b": _is_factor}


def _by_rows(array: Array, transposed: bool) -> tuple[Array, bool]:
    """The same factor with its rows contiguous, which may be those of its transpose."""
    return (array, bool(transposed)) if has_rows(array) else (array.T, not transposed)


def linear(x: Any, w: Any, b: Any = None, *, relu: bool = False,
           backend: str | None = None) -> Array:
    """Dense layer, ``x @ w.T + b``, or ``max(x @ w.T + b, 0)`` with `relu`.

    Parameters
    ----------
    x : (N, in), or (..., in)
    w : (out, in)
    b : (out,), optional
    relu : whether negative outputs become 0

    Returns
    -------
    (N, out), or (..., out)

    >>> import numpy as np
    >>> linear(np.array([[2.0, 3.0]]), np.array([[0.1, 0.2]]), np.array([0.5]))
    array([[1.3]])
    """
    x, w, b = common("linear", x=x, w=w, b=b)
    check_linear("linear", x, w)
    if b is not None:
        expect_shape("linear", "b", b, (w.shape[0],), "one for each row of w")
    y = empty((*x.shape[:-1], w.shape[0]), x.dtype, x)
    kernel("gemm", x, backend)(_as_rows(x), w, b, None, _as_rows(y), False, True, 1.0, 0.0,
                               bool(relu))
    return y


def linear_backward(dy: Any, x: Any, w: Any, *, bias: bool = True, need_dx: bool = True,
                    backend: str | None = None) -> tuple[Array | None, Array, Array | None]:
    """Gradients of `linear`: ``(dx, dw, db)``; ``dx`` or ``db`` is None when not asked for."""
    name = "linear_backward"
    x, w = common(name, x=x, w=w)
    check_linear(name, x, w)
    dy = real_like(name, "dy", dy, x, "x")
    expect_shape(name, "dy", dy, (*x.shape[:-1], w.shape[0]), "the shape of the output")
    product = kernel("gemm", x, backend)
    rows_x, rows_dy = _as_rows(x), _as_rows(dy)
    dw = empty(w.shape, w.dtype, w)
    product(rows_dy, rows_x, None, None, dw, True, False, 1.0, 0.0, False)
    dx = None
    if need_dx:
        dx = empty(x.shape, x.dtype, x)
        product(rows_dy, w, None, None, _as_rows(dx), False, False, 1.0, 0.0, False)
    db = None
    if bias:
        db = empty(w.shape[:1], w.dtype, w)
        kernel("column_sums", x, backend)(rows_dy, db)
    return dx, dw, db


def _as_rows(x: Array) -> Array:
    """(..., C) as (rows, C); a view, since x is contiguous."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def check_linear(operation: str, x: Shaped, w: Shaped) -> None:
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[-1]:
        raise ShapeError(f"{operation}: x (..., in) and w (out, in) do not fit: x {x.shape}, "
                         f"w {w.shape}")
