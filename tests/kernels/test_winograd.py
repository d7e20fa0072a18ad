"""Winograd's convolution: the algorithm as it is written down, and how far kernels round with it.

Expected values are those of the definition, in float64: conv/reference.py, which is itself tested
against loops and against PyTorch.
"""

import numpy as np
import pytest
from comparison import assert_same
from layouts import channels_last

from fastdl import ops
from fastdl._kernels.conv import reference, winograd

SHAPES = {      # x, OC, padding
    "one pixel": ((7, 1, 3, 3), 5, 0),  # a mean over a few: the bound is one of means
    "padding alone": ((2, 2, 1, 1), 3, 1),
    "whole tiles": ((2, 3, 8, 8), 4, 1),
    "ragged": ((3, 5, 9, 14), 2, (1, 0)),
    "wide padding": ((1, 2, 4, 7), 3, (3, 5)),
    "one row": ((1, 4, 3, 61), 5, 0),
    "many channels": ((2, 33, 6, 5), 71, 1),
    "several cells": ((5, 17, 30, 27), 20, (1, 2)),
    "deep": ((3, 300, 14, 14), 40, 1),
    "fewer outputs": ((9, 20, 4, 5), 37, 0),    # backward, tiles of dy are spread
}


def _case(shape, OC, padding, r=3, seed=0):
    """x, w, dy and the padding as a pair."""
    rng = np.random.default_rng(seed)
    padding = tuple(int(p) for p in np.broadcast_to(padding, 2))
    shape = (*shape[:2], *(n + r - 3 for n in shape[2:]))       # as many outputs for any r
    OH, OW = (n + 2 * p - r + 1 for n, p in zip(shape[2:], padding, strict=True))
    return (rng.standard_normal(shape), rng.standard_normal((OC, shape[1], r, r)),
            rng.standard_normal((shape[0], OC, OH, OW)), padding)


def _by_the_algorithm(x, w, dy, padding, m):
    """y, dx in both ways, dw."""
    return (winograd.conv2d(x, w, padding, m), winograd.conv2d_backward_input(dy, w, padding, m),
            winograd.conv2d_backward_input_spread(dy, w, padding, m, x.shape),
            winograd.conv2d_backward_weight(dy, x, padding, m, w.shape[-1]))


def _expected(x, w, dy, padding):
    """y, dx, dw by the definition."""
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    window = ((1, 1), padding, (1, 1), 1)
    reference.conv2d(x, w, None, None, y, *window, False, "direct")
    reference.conv2d_backward_input(dy, w, None, None, dx, *window, "direct")
    reference.conv2d_backward_weight(dy, x, dw, None, *window, "direct")
    return y, dx, dw


def _relative(actual, expected):
    """Root of the mean square of the error, for that of the values."""
    return np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean())


@pytest.mark.parametrize(("m", "r"), winograd.TRANSFORMS)
def test_matrices_convolve_one_line(m, r):
    t = winograd.TRANSFORMS[m, r]
    for place in range(m + r - 1):      # bilinear: exact on all units means exact
        for tap in range(r):
            d, g = np.eye(m + r - 1)[place], np.eye(r)[tap]
            y = t.A_T @ ((t.G @ g) * (t.B_T @ d))
            np.testing.assert_allclose(y, np.correlate(d, g), atol=1e-15)


@pytest.mark.parametrize(("m", "r"), winograd.TRANSFORMS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_algorithm_is_the_definition(name, m, r):
    x, w, dy, padding = _case(*SHAPES[name], r)
    y, dx, dw = _expected(x, w, dy, padding)
    actual = _by_the_algorithm(x, w, dy, padding, m)
    for result, expected in zip(actual, (y, dx, dx, dw), strict=True):
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def _amplification(m, r, backward=False):
    """What the transforms do to rounding errors of the products: the root of the mean square of
    their sums, for that of the exact result, with d and g (or dy) of independent unit normals.

    Along one axis the product of point p has variance |B_p|^2 |G_p|^2 and enters output i with
    A_ip, while the exact output has variance r; two axes multiply.
    """
    t = winograd.TRANSFORMS[m, r]
    d, g, y = (np.square(matrix) for matrix in (t.B_T, t.G, t.A_T))
    if backward:
        return (d.sum(1) * y.sum(0) @ g).mean() / m
    return (y @ (d.sum(1) * g.sum(1))).mean() / r


def _bound(m, r, terms, backward=False):
    """As docs/architecture.md states it: a few roundings, and sums of so many terms."""
    return np.finfo(np.float32).eps * _amplification(m, r, backward) * (1 + np.sqrt(terms) / 4)


def _bounds(m, x, w):
    tiles, r = len(x) * -(-x.shape[2] // m) * -(-x.shape[3] // m), w.shape[-1]
    return (_bound(m, r, w.shape[1]), _bound(m, r, w.shape[0]),
            _bound(m, r, tiles, backward=True))


def test_amplification_is_what_the_documentation_says():
    for backward in (False, True):
        assert round(_amplification(2, 3, backward), 1) == 1.7
        assert round(_amplification(4, 3, backward), 1) == 10.8
        assert round(_amplification(2, 5, backward), 1) == 12.3


@pytest.mark.parametrize(("m", "r"), winograd.TRANSFORMS)
@pytest.mark.parametrize("channels", [16, 64, 256])
def test_the_algorithm_in_float32_stays_within_the_bound(channels, m, r):
    x, w, dy, padding = _case((2, channels, 12, 12), 32, 1, r)
    single = [a.astype(np.float32) for a in (x, w, dy)]
    expected = _expected(*(a.astype(np.float64) for a in single), padding)
    x, w, dy = single
    actual = _by_the_algorithm(x, w, dy, padding, m)
    of_both = [[a, b, b, c] for a, b, c in (expected, _bounds(m, x, w))]
    for result, value, bound in zip(actual, *of_both, strict=True):
        assert result.dtype == np.float32
        assert _relative(result, value) < bound


@pytest.mark.parametrize("layout", [np.asarray, channels_last], ids=["planar", "channels-last"])
@pytest.mark.parametrize(("m", "r"), [(4, 3), (2, 5)])
@pytest.mark.parametrize("name", SHAPES)
def test_kernels_stay_within_the_documented_error(name, m, r, layout, need_backend):
    need_backend("cython")
    x, w, dy, padding = _case(*SHAPES[name], r)
    x, w, dy = (a.astype(np.float32) for a in (x, w, dy))
    options = {"padding": padding, "algorithm": "winograd", "backend": "cython"}
    y = ops.conv2d(layout(x), w, **options)
    dx, dw, db = ops.conv2d_backward(layout(dy), layout(x), w, **options)
    expected = _expected(*(a.astype(np.float64) for a in (x, w, dy)), padding)
    for actual, value, bound in zip((y, dx, dw), expected, _bounds(m, x, w), strict=True):
        assert _relative(actual, value) < bound
    pixels = dy[:, 0].size
    assert_same(db, dy.sum((0, 2, 3), dtype=np.float64).astype(np.float32), np.float32, pixels)


@pytest.mark.parametrize("layout", [np.asarray, channels_last], ids=["planar", "channels-last"])
@pytest.mark.parametrize("r", [3, 5])
@pytest.mark.parametrize("name", SHAPES)
def test_epilogues(name, r, layout, need_backend):
    need_backend("cython")
    x, w, residual, padding = _case(*SHAPES[name], r)
    x, w, residual = (a.astype(np.float32) for a in (x, w, residual))
    b = np.linspace(-2, 2, len(w), dtype=np.float32)
    options = {"padding": padding, "algorithm": "winograd", "backend": "cython"}
    plain = ops.conv2d(layout(x), w, **options)
    whole = ops.conv2d(layout(x), w, b, residual=layout(residual), relu=True, **options)
    expected = np.maximum(plain + b[:, None, None] + residual, 0)
    np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("shape", "OC", "r", "chosen"), [
    ((2, 3, 32, 32), 16, 3, "direct"),  # transforms cost more than they save
    ((1, 128, 4, 4), 128, 3, "direct"), # so do those of the filters
    ((2, 64, 28, 28), 64, 3, "winograd"),
    ((2, 3, 28, 28), 16, 5, "direct"),
    ((8, 64, 10, 10), 64, 5, "winograd")])
def test_what_auto_takes(shape, OC, r, chosen, need_backend):
    need_backend("cython")
    x, w, dy, padding = _case(shape, OC, 1, r)
    x, w, dy = (a.astype(np.float32) for a in (x, w, dy))
    results = {algorithm: (ops.conv2d(x, w, padding=padding, algorithm=algorithm, backend="cython"),
                           *ops.conv2d_backward(dy, x, w, padding=padding, algorithm=algorithm,
                                                backend="cython"))
               for algorithm in ("auto", "direct", "winograd")}
    for auto, one, direct in zip(results["auto"], results[chosen], results["direct"], strict=True):
        np.testing.assert_array_equal(auto, one)
        assert_same(auto, direct, np.float32, max(r * r * shape[1], r * r * OC, dy[:, 0].size))
