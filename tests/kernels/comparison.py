"""When are two results the same? The tolerance follows from dtype and reduction length alone.

Rounding errors of a sum of k terms grow like ``eps * sqrt(k)`` times the size of the terms. A
result of one term (an elementwise function) is held to a relative error; a sum, which may cancel,
to an error relative to the largest value of the result.
"""

import numpy as np

ULPS = 8            # a few roundings, and an exp or a log, in each term


def allowed_error(expected, dtype, terms):
    """Largest |difference| allowed at each (finite) element of `expected`."""
    info = np.finfo(dtype)
    size = np.abs(expected)
    if terms > 1:
        size = size.max(initial=0)
    # Native kernels take subnormal numbers for zero, and may give zero for them.
    return ULPS * info.eps * np.sqrt(terms) * size + ULPS * info.smallest_normal


def assert_same(actual, expected, dtype, terms=1):
    """Integers agree exactly; so do the places of NaN and infinities; numbers up to rounding."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.kind in "iu":
        np.testing.assert_array_equal(actual, expected)
        return
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected), "NaN elsewhere")
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(np.isinf(actual), infinite, "infinite elsewhere")
    np.testing.assert_array_equal(actual[infinite], expected[infinite])
    finite = np.isfinite(expected)
    actual, expected = (a[finite].astype(np.float64) for a in (actual, expected))
    excess = np.abs(actual - expected) - allowed_error(expected, dtype, terms)
    worst = excess.argmax() if excess.size else 0
    assert not (excess > 0).any(), (
        f"{(excess > 0).sum()} of {excess.size} differ; worst: {actual[worst]!r} instead of "
        f"{expected[worst]!r}")
