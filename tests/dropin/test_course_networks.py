"""Seeded training: losses of the drop-in's networks and of plain NumPy agree, step after step."""

from collections import OrderedDict

import numpy as np
import pytest
from plain import networks, optimizers

from fastdl.dropin import engine
from fastdl.dropin.studyai.deep_convolution_network import DeepConvNet
from fastdl.dropin.studyai.double_convolution_network import DoubleConvNet
from fastdl.dropin.studyai.multi_layer_net import MultiLayerNet as StudyaiNet
from fastdl.dropin.studyai.simple_convolution_network import SimpleConvNet
from fastdl.dropin.zero1.common import layers as zero1
from fastdl.dropin.zero1.common import optimizer as zero1_optimizers
from fastdl.dropin.zero1.common.gradient import numerical_gradient
from fastdl.dropin.zero1.common.multi_layer_net import MultiLayerNet
from fastdl.dropin.zero1.common.multi_layer_net_extend import MultiLayerNetExtend

STEPS = 50
SIZES = [20, 15, 12, 4]


@pytest.fixture
def float32(monkeypatch):
    monkeypatch.setattr(engine, "dtype", np.dtype(np.float32))


def examples(shape, classes, count=40):
    random = np.random.default_rng(5)
    return (random.random((count, *shape)).astype(np.float32),
            random.integers(classes, size=count).astype(np.uint8))


def losses(make, make_optimizer, x, t, batch=12, steps=STEPS):
    """What a script sees that seeds NumPy, makes a network, and trains it."""
    np.random.seed(7)                                                       # noqa: NPY002
    network = make()
    optimizer = make_optimizer()
    seen = []
    for _ in range(steps):
        mask = np.random.choice(len(x), batch)                              # noqa: NPY002
        optimizer.update(network.params, network.gradient(x[mask], t[mask]))
        seen.append(network.loss(x[mask], t[mask]))
    return seen


def in_evaluation(network):
    """The textbook's networks compute a step's loss without dropout."""
    loss = network.loss
    network.gradient_loss = loss

    def gradient(x, t):
        network.loss = loss
        grads = type(network).gradient(network, x, t)
        network.loss = lambda x, t: loss(x, t, training=False)
        return grads

    network.gradient = gradient
    return network


CASES = {
    "relu": (lambda: MultiLayerNet(20, [15, 12], 4), lambda: networks.MultiLayer(SIZES)),
    "sigmoid, 0.01": (
        lambda: MultiLayerNet(20, [15, 12], 4, activation="sigmoid", weight_init_std=0.01),
        lambda: networks.MultiLayer(SIZES, "sigmoid", 0.01)),
    "Xavier, weight decay": (
        lambda: MultiLayerNet(20, [15, 12], 4, weight_init_std="Xavier", weight_decay_lambda=0.1),
        lambda: networks.MultiLayer(SIZES, scale="xavier", decay=0.1)),
    "batch norm": (
        lambda: MultiLayerNetExtend(20, [15, 12], 4, use_batchnorm=True),
        lambda: networks.MultiLayer(SIZES, batchnorm=True)),
    "dropout": (
        lambda: MultiLayerNetExtend(20, [15, 12], 4, use_dropout=True, dropout_ration=0.2),
        lambda: networks.MultiLayer(SIZES, dropout=0.2)),
    "everything": (
        lambda: MultiLayerNetExtend(20, [15, 12], 4, "sigmoid", "he", 0.01, True, 0.15, True),
        lambda: networks.MultiLayer(SIZES, "sigmoid", "he", 0.01, 0.15, True)),
    "everything, studyai": (
        lambda: StudyaiNet(20, [15, 12], 4, weight_decay_lambda=0.01, use_dropout=True,
                           dropout_ratio=0.15, use_batchnorm=True),
        lambda: networks.MultiLayer(SIZES, decay=0.01, dropout=0.15, batchnorm=True)),
}


@pytest.mark.parametrize("case", CASES)
def test_multi_layer_losses(case):
    ours, plain = CASES[case]
    x, t = examples((20,), 4)
    seen = losses(ours, lambda: zero1_optimizers.SGD(0.1), x, t)
    expected = losses(lambda: in_evaluation(plain()), lambda: optimizers.SGD(0.1), x, t)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


SMALL_DEEP = [{"filter_num": filters, "filter_size": 3, "pad": 2 if i == 4 else 1, "stride": 1}
              for i, filters in enumerate((3, 3, 4, 4, 5, 5), 1)]
CONV_CASES = {
    "simple": (
        lambda: SimpleConvNet((1, 12, 12), {"filter_num": 6, "filter_size": 5, "pad": 0,
                                            "stride": 1}, 20, 5, 0.1),
        lambda: networks.ShallowConvNet([(6, 5, 0)], (1, 12, 12), 20, 5, 0.1), (1, 12, 12)),
    "double": (
        lambda: DoubleConvNet((2, 12, 12), {"filter_num": 4, "filter_size": 7, "pad": 1,
                                            "stride": 1},
                              {"filter_num": 5, "filter_size": 3, "pad": 1, "stride": 1}, 20, 5,
                              0.1),
        lambda: networks.ShallowConvNet([(4, 7, 1), (5, 3, 1)], (2, 12, 12), 20, 5, 0.1),
        (2, 12, 12)),
    "deep": (
        lambda: DeepConvNet((1, 12, 12), *SMALL_DEEP, 20, 5),
        lambda: networks.DeepConvNet((3, 3, 4, 4, 5, 5), 20, 5, 12), (1, 12, 12)),
}


@pytest.mark.parametrize("case", CONV_CASES)
def test_convolution_network_losses(case):
    ours, plain, shape = CONV_CASES[case]
    x, t = examples(shape, 5)
    seen = losses(ours, lambda: zero1_optimizers.Adam(0.01), x, t)
    expected = losses(plain, lambda: optimizers.Adam(0.01), x, t)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_the_default_networks_start_alike():
    for ours, plain in ((SimpleConvNet, lambda: networks.ShallowConvNet([(30, 5, 0)])),
                        (DoubleConvNet, lambda: networks.ShallowConvNet([(10, 7, 1), (20, 3, 1)],
                                                                        hidden=50)),
                        (DeepConvNet, networks.DeepConvNet)):
        np.random.seed(0)                                                   # noqa: NPY002
        params = ours().params
        np.random.seed(0)                                                   # noqa: NPY002
        expected = plain().params
        assert list(params) == list(expected)
        for key, value in params.items():
            np.testing.assert_allclose(value, expected[key], rtol=1e-12, err_msg=key)


def test_float32_trains_float64_parameters(float32):
    """The same losses to the precision of float32; parameters stay float64."""
    ours, plain, shape = CONV_CASES["simple"]
    x, t = examples(shape, 5)
    seen = losses(ours, lambda: zero1_optimizers.SGD(0.1), x, t)
    expected = losses(plain, lambda: optimizers.SGD(0.1), x, t)
    np.testing.assert_allclose(seen, expected, rtol=1e-4)
    network = ours()
    grads = network.gradient(x, t)
    assert {w.dtype.name for w in network.params.values()} == {"float64"}
    assert {g.dtype.name for g in grads.values()} == {"float32"}
    for key, w in network.params.items():           # as scripts do without an optimizer
        w -= 0.1 * grads[key]


@pytest.mark.parametrize(("make", "shape"), [
    (CONV_CASES["simple"][0], (1, 12, 12)), (lambda: MultiLayerNet(20, [15, 400], 5), (20,))])
def test_relu_behind_a_product_has_its_mask(make, shape):
    """The one that it computes where a script calls layer after layer."""
    network = make()
    x, t = examples(shape, 5)
    network.gradient(x, t)
    rectifiers = [layer for layer in network.layers.values() if isinstance(layer, zero1.Relu)]
    masks = [layer.mask for layer in rectifiers]
    loss_of(network.layers, network.last_layer, x, t)
    for mask, layer in zip(masks, rectifiers, strict=True):
        assert mask.any()
        np.testing.assert_array_equal(mask, layer.mask)


class Shifted:
    """A layer that changes its input in place."""

    def forward(self, x):
        x -= 0.01
        return x

    def backward(self, dout):
        return dout


@pytest.mark.parametrize("hidden", [15, 400])
def test_a_scripts_layer_may_change_its_input(hidden):
    """Behind a ReLU, whose gradient stays that of what the ReLU gave."""
    np.random.seed(3)                                                       # noqa: NPY002
    network = MultiLayerNet(20, [hidden], 4)
    network.layers = OrderedDict((("Affine1", network.layers["Affine1"]),
                                  ("Relu", network.layers["Activation_function1"]),
                                  ("Shifted", Shifted()), ("Affine2", network.layers["Affine2"])))
    x, t = examples((20,), 4)
    gradient = network.gradient(x, t)["b1"]
    numerical = numerical_gradient(lambda _: network.loss(x, t), network.params["b1"])
    np.testing.assert_allclose(gradient, numerical, rtol=1e-4, atol=1e-7)


# ---- gradients ----

@pytest.mark.parametrize("make", [
    lambda: SimpleConvNet((1, 12, 12), hidden_size=20, output_size=5, weight_init_std=0.1),
    lambda: MultiLayerNet(144, [15], 5)])
def test_the_first_layers_backward_may_be_the_scripts_own(make):
    """Networks leave out a gradient that nobody takes; then somebody does."""
    network = make()
    first = next(iter(network.layers.values()))
    x, t = examples((1, 12, 12) if first.W.ndim == 4 else (144,), 5)
    expected = network.gradient(x, t)
    seen = []
    original = first.backward

    def backward(dout):
        seen.append(original(dout))
        return seen[-1]

    first.backward = backward
    grads = network.gradient(x, t)
    assert seen[0].shape == x.shape
    for key, value in expected.items():
        np.testing.assert_array_equal(grads[key], value, err_msg=key)


def own_network(**layers):
    """A network that a script builds of the layers itself."""
    return OrderedDict(layers)


def loss_of(layers, last, x, t):
    for layer in layers.values():
        x = layer.forward(x)
    return last.forward(x, t)


@pytest.mark.parametrize(("stride", "pad", "pool", "pool_stride", "pool_pad"), [
    (1, 0, 2, 2, 0), (2, 1, 2, 1, 0), (1, 2, 3, 2, 0), (1, 0, 3, 4, 1)])
def test_gradients_are_numerical_ones(rng, stride, pad, pool, pool_stride, pool_pad):
    W1, b1 = rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)
    x, t = rng.normal(size=(2, 2, 7, 6)), np.array([1, 0])
    conv = zero1.Convolution(W1, b1, stride, pad)
    pooling = zero1.Pooling(pool, pool, pool_stride, pool_pad)
    shape = zero1.Relu().forward(conv.forward(x)).shape
    if pool_pad:                    # the course wants the output's size to be the same without it
        x = rng.normal(size=(2, 2, 6, 6))
        assert conv.forward(x).shape[2:] == (4, 4)
    features = pooling.forward(conv.forward(x)).reshape(2, -1).shape[1]
    W2, b2 = rng.normal(size=(features, 4)), rng.normal(size=4)
    norm = zero1.BatchNormalization(np.ones(4) * 1.5, np.zeros(4))
    layers = own_network(conv=conv, relu=zero1.Relu(), pool=pooling, affine=zero1.Affine(W2, b2),
                         norm=norm, sigmoid=zero1.Sigmoid())
    last = zero1.SoftmaxWithLoss()
    assert len(shape) == 4
    loss_of(layers, last, x, t)
    dout = last.backward()
    for layer in reversed(layers.values()):
        dout = layer.backward(dout)
    affine = layers["affine"]
    for array, gradient in ((W1, conv.dW), (b1, conv.db), (W2, affine.dW), (b2, affine.db),
                            (x, dout), (norm.gamma, norm.dgamma), (norm.beta, norm.dbeta)):
        numerical = numerical_gradient(lambda _: loss_of(layers, last, x, t), array)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("make", [
    lambda: MultiLayerNet(6, [5], 3, weight_decay_lambda=0.1),
    lambda: MultiLayerNetExtend(6, [5, 4], 3, use_batchnorm=True)])
def test_numerical_gradient_of_networks(make):
    np.random.seed(1)                                                       # noqa: NPY002
    network = make()
    x, t = examples((6,), 3, 8)
    numerical, gradient = network.numerical_gradient(x, t), network.gradient(x, t)
    assert set(numerical) == set(gradient) == set(network.params)
    for key, expected in numerical.items():
        np.testing.assert_allclose(gradient[key], expected, rtol=1e-4, atol=1e-7, err_msg=key)
