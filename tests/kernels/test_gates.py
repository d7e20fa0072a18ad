"""ReLU's backward pass inside of other kernels, against PyTorch's gradients of the whole."""

import numpy as np
import pytest
from comparison import assert_same
from layouts import channels_last

from fastdl import ops
from fastdl._kernels._table import BACKENDS
from fastdl.ops import _arrays

pytestmark = pytest.mark.usefixtures("quiet")

each_backend = pytest.mark.parametrize("backend", [row.name for row in BACKENDS
                                                   if row.device == "cpu"])
each_layout = pytest.mark.parametrize("layout", [np.array, channels_last])


def gradients(torch, function, *leaves):
    """Of the sum that `function` returns, by tensors made of `leaves`."""
    tensors = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
    function(*tensors).backward()
    return [tensor.grad.numpy() for tensor in tensors]


CONVOLUTIONS = {                # channels, filters (OC, C / groups, KH, KW), options
    "3x3": (20, (18, 20, 3, 3), {"padding": 1}),
    "1x1": (19, (33, 19, 1, 1), {}),
    "stride": (17, (9, 17, 3, 3), {"stride": 2, "padding": 1}),
    "few channels": (3, (8, 3, 5, 5), {"stride": 2, "padding": 2}),
    "groups": (8, (6, 4, 3, 3), {"groups": 2}),
    "depthwise": (21, (21, 1, 3, 3), {"groups": 21, "padding": 1}),
    "depthwise, vectors": (32, (32, 1, 3, 3), {"groups": 32, "stride": 2, "padding": 1}),
    "depthwise, twice the channels": (16, (32, 1, 3, 3), {"groups": 16, "padding": 1}),
}


@each_backend
@each_layout
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
def test_an_input_that_two_read_as_pytorch_has_it(name, algorithm, layout, backend, rng, torch,
                                                  need_backend):
    """z -> ReLU -> x, which a convolution reads, and something whose gradient is there already."""
    need_backend(backend)
    C, w_shape, options = CONVOLUTIONS[name]
    if algorithm == "winograd" and (w_shape[2:] not in ((3, 3), (5, 5))
                                    or options.keys() - {"padding"}):
        pytest.skip("Winograd's algorithm is for 3x3 and 5x5, stride 1, one group")
    z = rng.standard_normal((3, C, 13, 11)).astype(np.float32)
    w = rng.standard_normal(w_shape).astype(np.float32)
    others = rng.standard_normal(z.shape).astype(np.float32)
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options
    with torch.no_grad():
        shape = torch.nn.functional.conv2d(torch.tensor(z), torch.tensor(w), **settings).shape
    dy = rng.standard_normal(tuple(shape)).astype(np.float32)

    def total(z):
        x = z.relu()
        y = torch.nn.functional.conv2d(x, torch.tensor(w).double(), **settings)
        return (y * torch.tensor(dy)).sum() + (x * torch.tensor(others)).sum()

    expected = gradients(torch, total, z.astype(np.float64))[0].astype(np.float32)
    dx = layout(others)
    pairs = [(settings[key],) * 2 for key in ("stride", "padding", "dilation")]
    _arrays.kernel("conv2d_backward_input", dx, backend)(
        layout(dy), w, dx, layout(np.maximum(z, 0)), dx, *pairs, settings["groups"], algorithm)
    terms = w[:, 0].size * (20 if algorithm == "winograd" else 1)   # rounding of its transforms
    assert_same(dx, expected, "float32", terms)


@each_backend
@pytest.mark.parametrize(("M", "N", "K"), [(1, 5, 3), (37, 50, 70), (130, 30, 1100)])
def test_dense_layer_after_a_relu_as_pytorch_has_it(M, N, K, backend, rng, torch, need_backend):
    need_backend(backend)
    z, w, dy = (rng.standard_normal(shape) for shape in ((M, N), (K, N), (M, K)))
    (expected,) = gradients(
        torch, lambda z: (z.relu() @ torch.tensor(w).T * torch.tensor(dy)).sum(), z)
    dx = np.empty_like(z)
    _arrays.kernel("gemm", dx, backend)(dy, w, None, np.maximum(z, 0), dx, False, False, 1.0, 0.0,
                                        False)
    assert_same(dx, expected, "float64", K)


@each_backend
@each_layout
@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_pooling_after_a_relu_as_pytorch_has_it(size, stride, padding, layout, backend, rng, torch,
                                                need_backend):
    need_backend(backend)
    z = rng.standard_normal((2, 19, 12, 37)) - 1                # windows without a positive number
    pool = torch.nn.functional.max_pool2d
    y, argmax = ops.max_pool2d(layout(np.maximum(z, 0)), size, stride, padding,
                               return_indices=True, backend=backend)
    dy = rng.standard_normal(y.shape)
    (expected,) = gradients(
        torch, lambda z: (pool(z.relu(), size, stride, padding) * torch.tensor(dy)).sum(), z)
    dx = ops.max_pool2d_backward(dy, argmax, z.shape, size, stride, padding, y=y, backend=backend)
    assert_same(dx, expected, "float64", size * size)
