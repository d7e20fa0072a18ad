"""The matrix product and the dense layer against hand-made values, PyTorch and differences."""

import importlib

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients

from fastdl import ops

A, B = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([[1.0, 0], [0, 1], [10, 100]])
PRODUCT = [[31.0, 302], [64, 605]]


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_by_hand(trans_a, trans_b):
    a, b = A.T if trans_a else A, B.T if trans_b else B
    np.testing.assert_array_equal(ops.gemm(a, b, trans_a=trans_a, trans_b=trans_b), PRODUCT)


def test_alpha_beta_and_bias_by_hand():
    c = np.array([[1.0, 2], [3, 4]])
    out = ops.gemm(A, B, alpha=2, beta=-1, c=c, bias=np.array([1000.0, 2000]))
    np.testing.assert_array_equal(out, [[1061, 2602], [1125, 3206]])
    np.testing.assert_array_equal(c, [[1, 2], [3, 4]])


def test_relu_by_hand():
    bias = np.array([-100.0, np.nan])
    np.testing.assert_array_equal(ops.gemm(A, B, bias=bias, relu=True), [[0, np.nan], [0, np.nan]])
    np.testing.assert_array_equal(ops.gemm(A, B, alpha=-1, beta=1, c=np.full((2, 2), 300.0),
                                           relu=True), [[269, 0], [236, 0]])


def test_factors_are_read_where_they_are(rng, monkeypatch):
    """Slices and transposes come to the kernel as views, with the flag that fits."""
    seen = []
    monkeypatch.setattr(importlib.import_module("fastdl.ops.gemm"), "kernel",
                        lambda *_: lambda *given: seen.extend(given))
    wide = rng.standard_normal((9, 12))
    for array, trans, view in [
            (wide[2:5, 1:4], False, True), (wide[2:5, 1:4], True, True),
            (wide.T[2:5, 1:4], False, True), (wide[::2][:3, :3], False, True),
            (wide[::-1][:3, :3], False, False), (wide[:3, :6:2], False, False)]:
        seen.clear()
        ops.gemm(array, array, trans_a=trans, trans_b=trans)
        for given, flag in [(seen[0], seen[5]), (seen[1], seen[6])]:
            assert np.shares_memory(given, wide) == view
            assert given.strides[1] == wide.itemsize
            np.testing.assert_array_equal(given.T if flag else given, array.T if trans else array)


def test_c_is_not_read_without_beta():
    np.testing.assert_array_equal(ops.gemm(A, B, c=np.full((2, 2), np.nan)), PRODUCT)


def test_product_over_nothing_is_zero():
    out = ops.gemm(np.ones((2, 0)), np.ones((0, 3)), bias=np.array([1.0, 2, 3]))
    np.testing.assert_array_equal(out, [[1, 2, 3]] * 2)


@pytest.mark.parametrize("leading", [(4,), (2, 3), (0,), ()], ids=str)
def test_linear_as_pytorch(leading, rng, torch):
    x, dy = rng.standard_normal((*leading, 5)), rng.standard_normal((*leading, 3))
    w, b = rng.standard_normal((3, 5)), rng.standard_normal(3)
    expected, gradients = torch_gradients(torch, torch.nn.functional.linear, (x, w, b), dy)
    np.testing.assert_allclose(ops.linear(x, w, b), expected, rtol=1e-13, atol=1e-13)
    for ours, theirs in zip(ops.linear_backward(dy, x, w), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_linear_with_relu_as_pytorch(rng, torch):
    x, w, b = rng.standard_normal((4, 5)), rng.standard_normal((3, 5)), rng.standard_normal(3)
    expected = torch.relu(torch.nn.functional.linear(*map(torch.tensor, (x, w, b))))
    assert (expected == 0).any()
    np.testing.assert_allclose(ops.linear(x, w, b, relu=True), expected, rtol=1e-13)


def test_linear_gradients(rng):
    x, w, b = rng.standard_normal((4, 5)), rng.standard_normal((3, 5)), rng.standard_normal(3)
    dy = rng.standard_normal((4, 3))
    dx, dw, db = ops.linear_backward(dy, x, w)
    assert_gradient(dx, lambda x: ops.linear(x, w, b), x, dy)
    assert_gradient(dw, lambda w: ops.linear(x, w, b), w, dy)
    assert_gradient(db, lambda b: ops.linear(x, w, b), b, dy)


def test_linear_gradients_that_are_not_wanted_are_not_there(rng):
    dx, dw, db = ops.linear_backward(np.ones((2, 3)), np.ones((2, 5)), np.ones((3, 5)), bias=False,
                                     need_dx=False)
    assert (dx, db) == (None, None)
    np.testing.assert_array_equal(dw, np.full((3, 5), 2.0))
