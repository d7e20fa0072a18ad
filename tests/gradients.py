"""Gradients that owe nothing to a backward function: by central differences, and by PyTorch."""

import numpy as np


def numerical_gradient(function, x, dy=1.0, step=1e-5):
    """Gradient of ``sum(function(x) * dy)`` with respect to the float64 array `x`.

    Central differences, two evaluations for each element: the error is of the order of step² plus
    eps / step, about 1e-10 where values and derivatives are of the order of 1.
    """
    x = np.array(x, np.float64)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        centre = x[index]
        sides = []
        for side in (centre + step, centre - step):
            x[index] = side
            sides.append(np.sum(function(x.copy()) * dy))
        x[index] = centre
        gradient[index] = (sides[0] - sides[1]) / (2 * step)
    return gradient


def assert_gradient(actual, function, x, dy=1.0):
    """`actual` is the gradient of ``sum(function(x) * dy)`` at `x`."""
    np.testing.assert_allclose(actual, numerical_gradient(function, x, dy), rtol=1e-6, atol=1e-8)


def torch_gradients(torch, function, arrays, dy):
    """Output of `function` on float64 tensors, and the gradient of each, for the gradient `dy`."""
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    y = function(*tensors)
    y.backward(torch.as_tensor(dy, dtype=torch.float64))
    return y.detach().numpy(), [tensor.grad.numpy() for tensor in tensors]
