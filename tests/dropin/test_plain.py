"""The plain NumPy layers, which the others here are held to, against PyTorch."""

import numpy as np
from plain import layers


def test_convolution_and_pooling(torch, rng):
    x, w, b = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 3)), np.ones(4)
    conv, pool = layers.Convolution(w, b, 1, 1), layers.Pooling(2, 2)
    y = pool.forward(conv.forward(x, True), True)
    dy = rng.standard_normal(y.shape)
    tensors = [torch.tensor(value, requires_grad=True) for value in (x, w, b)]
    expected = torch.nn.functional.max_pool2d(
        torch.nn.functional.conv2d(*tensors, padding=1), 2)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-12)
    dx = conv.backward(pool.backward(dy))
    for ours, tensor in zip((dx, conv.dW, conv.db), tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad, rtol=1e-10, atol=1e-12)
