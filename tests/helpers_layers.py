"""Whole networks against differences and against PyTorch."""

import numpy as np
from gradients import assert_gradient


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def assert_network_gradients(net, inputs, dys):
    """Every gradient of a float64 network, of its inputs and of its parameters, by differences.

    `dys` has the gradient of each output; ``sum(output * dy)`` over all of them is what is varied.
    """
    def weighted(outputs):
        return sum(np.sum(y * dy) for y, dy in zip(as_tuple(outputs), dys, strict=True))

    net.forward(*inputs)
    dxs = as_tuple(net.backward(dys if len(dys) > 1 else dys[0]))
    grads = {name: dw.copy() for name, dw in net.grads.items()}
    assert grads.keys() == net.params.keys()
    for i, dx in enumerate(dxs):
        def of_input(x, i=i):
            return weighted(net.forward(*inputs[:i], x, *inputs[i + 1:]))
        assert_gradient(dx, of_input, inputs[i])
    for name, w in net.params.items():
        before = w.copy()

        def of_parameter(value, w=w):
            w[...] = value
            return weighted(net.forward(*inputs))
        assert_gradient(grads[name], of_parameter, before)
        w[...] = before


def load_into_twin(torch, twin, net):
    """Give a PyTorch module the parameters, buffers and dtype of ours, by the same names."""
    state = {name: torch.tensor(value) for name, value in net.state_dict().items()}
    twin.to(next(iter(state.values())).dtype).load_state_dict(state)


def assert_as_twin(torch, net, twin, inputs, rng, rtol=1e-10, atol=1e-12):
    """Outputs, gradients and buffers of our network are those of its twin in PyTorch."""
    load_into_twin(torch, twin, net)
    twin.train(net.training)
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = as_tuple(twin(*tensors))
    dys = tuple(rng.standard_normal(y.shape).astype(inputs[0].dtype) for y in expected)
    torch.autograd.backward(expected, [torch.tensor(dy) for dy in dys])
    outputs = as_tuple(net.forward(*inputs))
    dxs = as_tuple(net.backward(dys if len(dys) > 1 else dys[0]))

    def same(ours, theirs, what):
        assert ours.dtype == theirs.dtype, what
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)

    for i, (y, tensor) in enumerate(zip(outputs, expected, strict=True)):
        same(y, tensor.detach().numpy(), f"output {i}")
    for i, (dx, tensor) in enumerate(zip(dxs, tensors, strict=True)):
        same(dx, tensor.grad.numpy(), f"gradient of input {i}")
    parameters = dict(twin.named_parameters())
    assert list(net.grads) == list(parameters)
    for name, parameter in parameters.items():
        same(net.grads[name], parameter.grad.numpy(), f"gradient of {name}")
    state = net.state_dict()
    for name, buffer in twin.named_buffers():
        same(state[name], buffer.numpy(), name)
