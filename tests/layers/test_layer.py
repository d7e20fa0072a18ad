"""What all layers share: parameters and their identity, modes, a layer of one's own."""

import copy
import pickle

import numpy as np
import pytest
from helpers_layers import assert_network_gradients

import fastdl as fd
from fastdl.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU


class Square(fd.Layer):
    """The smallest layer of one's own: nothing but the pair."""

    def apply(self, inputs, params, training):
        (x,) = inputs
        return x * x, x

    def grad(self, dy, saved):
        return (2 * saved * dy,), {}


class Scale(fd.Layer):
    """One with a parameter."""

    def __init__(self, size):
        self.add_parameter("factor", np.full(size, 2, np.float32))

    def apply(self, inputs, params, training):
        (x,) = inputs
        return x * params["factor"], (x, params["factor"])

    def grad(self, dy, saved):
        x, factor = saved
        return (dy * factor,), {"factor": (dy * x).sum(axis=0)}


def test_own_layer_by_hand():
    layer = Square()
    np.testing.assert_array_equal(layer.forward(np.array([3.0])), [9])
    np.testing.assert_array_equal(layer.backward(np.array([10.0])), [60])
    assert layer.params == layer.grads == layer.buffers == {}


def test_own_layers_in_a_network(rng):
    net = fd.Sequential(Linear(3, 4), Square(), Scale(4), Square()).astype("float64")
    assert list(net.params) == ["0.weight", "0.bias", "2.factor"]
    assert_network_gradients(net, [rng.standard_normal((2, 3))], [rng.standard_normal((2, 4))])


def test_own_layer_trains_and_is_saved(tmp_path, rng):
    x = rng.standard_normal((64, 3)).astype(np.float32)
    factor = np.array([1, -3, 0.5], np.float32)
    net = fd.Sequential(Scale(3))
    trainer = fd.Trainer(net, loss="mse", optimizer=fd.optimizers.SGD(lr=0.5))
    trainer.fit(x, x * factor, epochs=20, batch_size=16, progress=False)
    np.testing.assert_allclose(net.params["0.factor"], factor, atol=1e-3)
    net.save(tmp_path / "net.safetensors")
    other = fd.Sequential(Scale(3))
    other.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(other.predict(x), net.predict(x))


@pytest.mark.parametrize("method", ["apply", "grad"])
def test_a_layer_without_the_pair(method):
    arguments = ((np.ones(1),), {}, True) if method == "apply" else (np.ones(1), None)
    with pytest.raises(NotImplementedError, match=f"Layer does not define {method}"):
        getattr(fd.Layer(), method)(*arguments)


# ---- parameters ----

def test_parameters_are_attributes():
    layer = Linear(3, 2)
    assert layer.weight is layer.params["weight"]
    assert layer.bias is layer.params["bias"]
    assert BatchNorm2d(2).running_mean.shape == (2,)
    with pytest.raises(AttributeError, match="Linear has no attribute 'wieght'"):
        _ = layer.wieght


def test_assignment_writes_into_the_parameter():
    layer = Linear(3, 2)
    weight = layer.weight
    layer.weight = np.ones((2, 3))
    assert layer.weight is weight
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(layer.forward(np.ones((1, 3), np.float32)) - layer.bias, [[3, 3]])
    layer.weight *= 2
    assert layer.weight is weight
    assert weight.sum() == 12


def test_assignment_of_another_shape():
    layer = Linear(3, 2)
    before = layer.weight.copy()
    with pytest.raises(fd.ShapeError, match=r"Linear.weight: expected shape \(2, 3\), got \(3,\)"):
        layer.weight = np.ones(3)
    np.testing.assert_array_equal(layer.weight, before)


def test_gradients_keep_their_identity(rng):
    layer = Linear(3, 2)
    x = rng.standard_normal((4, 3)).astype(np.float32)
    kept = {}
    for dy in (np.ones((4, 2), np.float32), np.full((4, 2), 2, np.float32)):
        layer.forward(x)
        layer.backward(dy)
        kept = kept or dict(layer.grads)
    assert all(layer.grads[name] is kept[name] for name in kept)
    np.testing.assert_allclose(kept["bias"], [8, 8])


def test_gradients_are_no_views_of_the_callers_arrays():
    class Bias(fd.Layer):
        def __init__(self):
            self.add_parameter("b", np.zeros(2, np.float32))

        def apply(self, inputs, params, training):
            return inputs[0] + params["b"], None

        def grad(self, dy, saved):
            return (dy,), {"b": dy}

    layer, first = Bias(), np.ones(2, np.float32)
    for dy in (first, np.full(2, 5, np.float32)):
        layer.forward(np.zeros(2, np.float32))
        layer.backward(dy)
    np.testing.assert_array_equal(first, [1, 1])
    np.testing.assert_array_equal(layer.grads["b"], [5, 5])


@pytest.mark.parametrize(("grads", "error", "message"), [
    ({}, fd.GraphError, "gradients of nothing, the parameters are \\['factor'\\]"),
    ({"factor": np.ones(2, np.float32), "x": np.ones(2, np.float32)}, fd.GraphError,
     "gradients of \\['factor', 'x'\\]"),
    ({"factor": np.ones(3, np.float32)}, fd.ShapeError,
     r"the gradient of factor must be \(2,\) like factor, got \(3,\)"),
])
def test_wrong_parameter_gradients(grads, error, message):
    layer = Scale(2)
    layer.grad = lambda dy, saved: ((dy,), grads)
    layer.forward(np.ones((1, 2), np.float32))
    with pytest.raises(error, match="Scale.grad: .*" + message):
        layer.backward(np.ones((1, 2), np.float32))
    assert layer.grads == {}


def test_copies_are_independent():
    layer = Linear(3, 2)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(twin.weight, layer.weight)
        twin.weight[...] = 0
        assert layer.weight.any()


# ---- modes ----

def test_modes():
    layer = Dropout(0.5)
    assert layer.training
    assert layer.eval() is layer
    assert not layer.training
    assert layer.train() is layer
    assert layer.training


# ---- arguments ----

@pytest.mark.parametrize(("make", "message"), [
    (lambda: Linear(0, 2), "Linear: in_features must be an integer of at least 1, got 0"),
    (lambda: Linear(2, 1.5), "Linear: out_features must be an integer of at least 1, got 1.5"),
    (lambda: Conv2d(3, 0, 3), "Conv2d: out_channels must be an integer of at least 1, got 0"),
    (lambda: Conv2d(3, 4, 3, groups=2), "groups=2 must divide in_channels=3 and out_channels=4"),
    (lambda: Conv2d(3, 4, 0), "Conv2d: kernel_size must be at least 1, got 0"),
    (lambda: Conv2d(3, 4, (3, 3, 3)), r"kernel_size must be an integer or a pair, got \(3, 3, 3\)"),
    (lambda: Conv2d(3, 4, 3, stride=0), "Conv2d: stride must be at least 1, got 0"),
    (lambda: Conv2d(3, 4, 3, padding=-1), "Conv2d: padding must be at least 0, got -1"),
    (lambda: Conv2d(3, 4, 3, weight_init="hee"), "unknown initializer 'hee'"),
    (lambda: BatchNorm2d(0), "BatchNorm2d: num_features must be an integer of at least 1, got 0"),
    (lambda: Dropout(1.5), r"Dropout: p must be in \[0, 1\], got 1.5"),
])
def test_bad_options(make, message):
    with pytest.raises(fd.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(("layer", "shape", "message"), [
    (Conv2d(3, 4, 3), (2, 4, 5, 5), r"conv2d: .*\(2, 4, 5, 5\)"),
    (Conv2d(3, 4, 3), (3, 5, 5), r"conv2d: .*\(3, 5, 5\)"),
    (Linear(3, 4), (2, 5), r"linear: .*\(2, 5\)"),
    (BatchNorm2d(3), (2, 4, 5, 5), r"BatchNorm2d: expected 3 channels and 4 dimensions, got"),
    (BatchNorm2d(3), (2, 3), r"BatchNorm2d: .* got \(2, 3\)"),
    (fd.layers.BatchNorm1d(3), (2, 3, 4, 5), r"BatchNorm1d: .* 2 or 3 dimensions"),
    (Flatten(), (), "Flatten: x has no batch dimension"),
    (fd.layers.MaxPool2d(2), (2, 2), r"max_pool2d: x must have 4 dimensions, got \(2, 2\)"),
    (fd.layers.Concat(7), (2, 2), "concat: along axis 7"),
])
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(fd.ShapeError, match=message):
        layer.forward(np.zeros(shape, np.float32))


def test_joins_of_shapes_that_differ():
    for join in (fd.add, fd.mean, fd.multiply):
        with pytest.raises(fd.ShapeError, match=r"shapes (differ|do not fit): \(2,\), \(3,\)"):
            join(np.ones(2), np.ones(3))
    with pytest.raises(fd.ArgumentError, match="concat: no arrays given"):
        fd.concat([])


def test_functions_are_the_layers():
    x = np.array([[-1.0, 2.0]])
    np.testing.assert_array_equal(fd.relu(x), [[0, 2]])
    np.testing.assert_array_equal(fd.leaky_relu(x, 0.5), [[-0.5, 2]])
    np.testing.assert_array_equal(fd.add(x, x, x), 3 * x)
    np.testing.assert_array_equal(fd.mean(x, 3 * x), 2 * x)
    np.testing.assert_array_equal(fd.multiply(x, x), x * x)
    np.testing.assert_array_equal(fd.concat([x, x]), [[-1, 2, -1, 2]])
    np.testing.assert_array_equal(fd.concat([x, x], axis=0), [[-1, 2], [-1, 2]])
    np.testing.assert_array_equal(fd.flatten(np.ones((2, 3, 4))), np.ones((2, 12)))
    np.testing.assert_allclose(fd.sigmoid(x), 1 / (1 + np.exp(-x)))
    np.testing.assert_allclose(fd.tanh(x), np.tanh(x))
    np.testing.assert_allclose(fd.softmax(x), np.exp(x) / np.exp(x).sum())


def test_reprs():
    assert repr(Conv2d(3, 8, 3, padding=1, bias=False)) == (
        "Conv2d(3, 8, kernel_size=(3, 3), padding=(1, 1), bias=False)")
    assert repr(Linear(3, 2, bias=False)) == "Linear(3, 2, bias=False)"
    assert repr(ReLU()) == "ReLU()"
    assert repr(fd.layers.MaxPool2d(3, 2, 1, True)) == (
        "MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True)")
    assert repr(BatchNorm2d(4)) == "BatchNorm2d(4, eps=1e-05, momentum=0.1)"
    assert repr(Dropout(0.3)) == "Dropout(p=0.3)"
