"""Depthwise convolution over many shapes, against its definition: a sum over taps in float64."""

import numpy as np
import pytest
from comparison import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import channels_last

from fastdl import ops

pytestmark = pytest.mark.usefixtures("need_cython")


@pytest.fixture
def need_cython(need_backend):
    need_backend("cython")


@st.composite
def problems(draw):
    """Shapes of x and w, and options: often such that the fast tiles of the kernels serve them."""
    def pick(low, high):
        return draw(st.integers(low, high))

    if draw(st.booleans()):
        kernel, stride = (draw(st.sampled_from([3, 5])),) * 2, (pick(1, 2),) * 2
        padding, dilation = (kernel[0] // 2 + draw(st.sampled_from([0, 0, 1])),) * 2, (1, 1)
    else:
        kernel, stride, padding, dilation = (
            (pick(low, high), pick(low, high)) for low, high in [(1, 6), (1, 4), (0, 5), (1, 3)])
    least = [max(1, d * (k - 1) + 1 - 2 * p)
             for k, p, d in zip(kernel, padding, dilation, strict=True)]
    C, multiplier = pick(2, 40), draw(st.sampled_from([1, 1, 2, 3]))
    x = (pick(0, 3), C, least[0] + pick(0, 15), least[1] + pick(0, 35))
    return x, (C * multiplier, 1, *kernel), {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": C}


def fields_of_taps(x, shape, kernel, stride, padding, dilation):
    """For each tap what the outputs read, as views (N, C, OH, OW) into padded `x`; and that."""
    (PH, PW), (SH, SW), (DH, DW) = padding, stride, dilation
    padded = np.pad(x, [(0, 0), (0, 0), (PH, PH), (PW, PW)])
    return padded, {(kh, kw): padded[:, :, kh * DH:, kw * DW:][
        :, :, :SH * (shape[2] - 1) + 1:SH, :SW * (shape[3] - 1) + 1:SW]
        for kh, kw in np.ndindex(*kernel)}


def output_shape(x, w, stride, padding, dilation, groups):
    return x[0], w[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(
        x[2:], w[2:], stride, padding, dilation, strict=True))


@pytest.mark.parametrize("layout", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=60, deadline=None)
@given(problem=problems(), relu=st.booleans(), seed=st.integers(0, 1000))
def test_as_defined(layout, dtype, problem, relu, seed):
    x_shape, w_shape, options = problem
    groups, multiplier = options["groups"], w_shape[0] // options["groups"]
    shape = output_shape(x_shape, w_shape, **options)
    rng = np.random.default_rng(seed)
    x, w, b, residual, dy = (rng.standard_normal(s).astype(dtype) for s in (
        x_shape, w_shape, w_shape[:1], shape, shape))
    wide = {key: a.astype(np.float64) for key, a in
            {"x": x, "w": w[:, 0], "b": b, "residual": residual, "dy": dy}.items()}
    window = {key: value for key, value in options.items() if key != "groups"}
    _, fields = fields_of_taps(wide["x"], shape, w_shape[2:], **window)
    dx_padded, dx_fields = fields_of_taps(np.zeros(x_shape), shape, w_shape[2:], **window)
    y, dw = wide["residual"] + wide["b"][:, None, None], np.empty(w_shape)
    for (kh, kw), field in fields.items():
        weight = wide["w"][:, kh, kw, None, None]
        y += weight * field.repeat(multiplier, axis=1)
        dw[:, 0, kh, kw] = (wide["dy"] * field.repeat(multiplier, axis=1)).sum(axis=(0, 2, 3))
        back = (wide["dy"] * weight).reshape(shape[0], groups, multiplier, *shape[2:])
        dx_fields[kh, kw][...] += back.sum(axis=2)
    PH, PW = options["padding"]
    dx = dx_padded[:, :, PH:PH + x_shape[2], PW:PW + x_shape[3]]
    db = wide["dy"].sum(axis=(0, 2, 3))

    taps, pixels = w[0].size, dy[:, 0].size
    actual = ops.conv2d(layout(x), w, b, **options, residual=residual, relu=relu, backend="cython")
    assert_same(actual, (np.maximum(y, 0) if relu else y).astype(dtype), dtype, taps + 2)
    gradients = ops.conv2d_backward(dy, layout(x), w, **options, backend="cython")
    for value, expected, terms in zip(gradients, (dx, dw, db),
                                      (taps * multiplier + 1, pixels + 1, pixels + 1), strict=True):
        assert_same(value, expected.astype(dtype), dtype, terms)
