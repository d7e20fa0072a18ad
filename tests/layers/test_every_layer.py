"""All layers, one table: against PyTorch, against differences, and one backend against another."""

import numpy as np
import pytest
from gradients import assert_gradient
from helpers_layers import as_tuple
from layer_cases import CASES

import fastdl as fd
from fastdl import layers

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def made(case, dtype="float64"):
    """The layer in the mode and dtype to test, the same one each time."""
    fd.seed(1)
    layer = case.make().train(case.training)
    fd.Sequential(layer).astype(dtype)
    for array in (*layer.params.values(), *layer.buffers.values()):
        if array.dtype.kind == "f":                 # no weight of 1, no mean of 0
            array += np.linspace(0.1, 0.9, array.size, dtype=dtype).reshape(array.shape)
    return layer


def forward(layer, inputs):
    fd.seed(2)                                      # dropout drops the same elements each time
    return layer.forward(*inputs)


def test_no_layer_is_left_out():
    every = {getattr(layers, name) for name in layers.__all__}
    every = {kind for kind in every if isinstance(kind, type)} - {layers.Layer}
    assert {type(case.make()) for case in CASES.values()} == every


@each_case
def test_against_pytorch(case, rng):
    torch = pytest.importorskip("torch")
    if case.twin is None:
        pytest.skip("random")
    layer, twin, inputs = made(case), case.twin(torch), case.inputs(rng)
    if isinstance(twin, torch.nn.Module):
        twin.double().train(case.training)
        state = fd.Sequential(layer).state_dict()
        twin.load_state_dict({name.removeprefix("0."): torch.tensor(value)
                              for name, value in state.items()})
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = twin(*tensors)
    dy = rng.standard_normal(expected.shape)
    expected.backward(torch.tensor(dy))

    y = layer.forward(*inputs)
    dxs = as_tuple(layer.backward(dy))
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(y, expected.detach().numpy(), **close)
    for dx, tensor in zip(dxs, tensors, strict=True):
        np.testing.assert_allclose(dx, tensor.grad.numpy(), **close)
    if isinstance(twin, torch.nn.Module):
        assert set(layer.grads) == {name for name, _ in twin.named_parameters()}
        for name, parameter in twin.named_parameters():
            np.testing.assert_allclose(layer.grads[name], parameter.grad.numpy(), **close)
        for name, buffer in twin.named_buffers():       # running statistics moved alike
            np.testing.assert_allclose(layer.buffers[name], buffer.numpy(), **close)


@each_case
def test_input_gradients_are_the_differences(case, rng):
    layer, inputs = made(case), case.inputs(rng)
    dy = rng.standard_normal(forward(layer, inputs).shape)
    dxs = as_tuple(layer.backward(dy))
    assert len(dxs) == len(inputs)
    for i, dx in enumerate(dxs):
        def of_one(x, i=i):
            return forward(layer, [*inputs[:i], x, *inputs[i + 1:]])
        assert_gradient(dx, of_one, inputs[i], dy)


@each_case
def test_parameter_gradients_are_the_differences(case, rng):
    layer, inputs = made(case), case.inputs(rng)
    dy = rng.standard_normal(forward(layer, inputs).shape)
    layer.backward(dy)
    assert layer.grads.keys() == layer.params.keys()
    for name, dw in layer.grads.items():
        def of_one(w, name=name):
            return layer.apply(tuple(inputs), {**layer.params, name: w}, case.training)[0]
        assert_gradient(dw, of_one, layer.params[name].copy(), dy)


@each_case
def test_parameter_gradients_alone_are_the_same(case, rng):
    layer, inputs = made(case), case.inputs(rng)
    y, saved = layer.apply(tuple(inputs), layer.params, case.training)
    dy = rng.standard_normal(y.shape)
    _, both = layer.grad(dy, saved)
    alone = layer.param_grads(dy, saved)
    assert alone.keys() == both.keys()
    for name in both:
        np.testing.assert_array_equal(alone[name], both[name])


@each_case
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_backends_agree(case, backend, rng, need_backend):
    need_backend(backend)
    results = []
    inputs = [x.astype(np.float32) for x in case.inputs(rng)]
    for chosen in ("reference", backend):
        layer = made(case, "float32")
        with fd.use_backend(chosen):
            y = forward(layer, inputs)
            dy = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
            dxs = as_tuple(layer.backward(dy))
        results.append([y, *dxs, *layer.grads.values(), *layer.buffers.values()])
    for expected, actual in zip(*results, strict=True):
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@each_case
def test_float32_stays_float32(case, rng):
    layer = made(case, "float32")
    y = forward(layer, [x.astype(np.float32) for x in case.inputs(rng)])
    dxs = as_tuple(layer.backward(np.ones_like(y)))
    assert {a.dtype for a in (y, *dxs, *layer.grads.values())} == {np.dtype(np.float32)}


@each_case
def test_inputs_are_not_changed(case, rng):
    layer, inputs = made(case), case.inputs(rng)
    for x in inputs:
        x.flags.writeable = False
    y = forward(layer, inputs)
    dy = np.ones_like(y)
    dy.flags.writeable = False
    layer.backward(dy)


@each_case
def test_on_nodes_as_on_arrays(case, rng):
    layer, inputs = made(case), case.inputs(rng)

    class Net(fd.Module):
        def __init__(self):
            self.layer = layer

        def connect(self, a):
            return self.layer(a)

    class Net2(Net):
        def connect(self, a, b):
            return self.layer(a, b)

    class Net3(Net):
        def connect(self, a, b, c):
            return self.layer(a, b, c)

    net = (Net, Net2, Net3)[len(inputs) - 1]()
    fd.seed(2)
    np.testing.assert_array_equal(net.forward(*inputs), forward(layer, inputs))


@each_case
def test_backward_needs_forward(case):
    with pytest.raises(fd.GraphError, match="backward: call forward first"):
        case.make().backward(np.ones(1))


@each_case
def test_the_representation_tells_the_kind(case):
    layer = case.make()
    assert repr(layer).startswith(type(layer).__name__ + "(")
