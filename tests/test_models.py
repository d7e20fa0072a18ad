"""Architectures: sizes by hand, and the same networks in PyTorch."""

import numpy as np
import pytest
from helpers_layers import assert_as_twin

import fastdl as fd
from fastdl.models.cell_net import Cell

TASKS = {"28×28": (1, 28), "8×8": (1, 8), "3×32×32": (3, 32)}
each_task = pytest.mark.parametrize(("channels", "size"), TASKS.values(), ids=TASKS.keys())
MODELS = ("cifar_net", "deep_convnet", "mlp", "simple_convnet")        # of images of any size
each_model = pytest.mark.parametrize("name", MODELS)


def create(name, channels, size):
    fd.seed(0)
    return fd.models.create(name, in_channels=channels, image_size=size)


def conv(in_channels, out_channels, kernel=3):
    return out_channels * in_channels * kernel**2 + out_channels


def dense(n_in, n_out):
    return n_in * n_out + n_out


# The maps before the dense layers, by hand. simple: 28 → 24 → 12, 8 → 4 → 2, 32 → 28 → 14.
# deep: 28 → 14 → 16 → 8 → 4, 8 → 4 → 6 → 3 → 1, 32 → 16 → 18 → 9 → 4. cifar: 32 → 30 → 15,
# 28 → 26 → 13. mnist: 28 → 24 → 12 → 8 → 4.
@pytest.mark.parametrize(("name", "channels", "size", "parameters"), [
    ("simple_convnet", 1, 28, conv(1, 30, 5) + dense(30 * 12 * 12, 100) + dense(100, 10)),
    ("simple_convnet", 1, 8, conv(1, 30, 5) + dense(30 * 2 * 2, 100) + dense(100, 10)),
    ("simple_convnet", 3, 32, conv(3, 30, 5) + dense(30 * 14 * 14, 100) + dense(100, 10)),
    *(("deep_convnet", channels, size,
       conv(channels, 16) + conv(16, 16) + conv(16, 32) + conv(32, 32) + conv(32, 64)
       + conv(64, 64) + dense(64 * last**2, 50) + dense(50, 10))
      for channels, size, last in ((1, 28, 4), (1, 8, 1), (3, 32, 4))),
    ("cifar_net", 3, 32, conv(3, 32) + conv(32, 32) + dense(32 * 15 * 15, 512) + dense(512, 10)),
    ("cifar_net", 1, 28, conv(1, 32) + conv(32, 32) + dense(32 * 13 * 13, 512) + dense(512, 10)),
    ("mnist_net", 1, 28, conv(1, 64, 5) + conv(64, 128, 5) + dense(128 * 4 * 4, 2048)
     + dense(2048, 1024) + dense(1024, 10)),
    ("mlp", 1, 28, dense(784, 256) + dense(256, 128) + dense(128, 10)),
    ("mlp", 3, 32, dense(3072, 256) + dense(256, 128) + dense(128, 10)),
])
def test_number_of_parameters(name, channels, size, parameters):
    assert sum(w.size for w in create(name, channels, size).params.values()) == parameters


def test_hidden_sizes_of_the_perceptron():
    net = fd.models.mlp(num_classes=3, image_size=2, hidden_sizes=(5,))
    assert [w.shape for w in net.params.values()] == [(5, 4), (5,), (3, 5), (3,)]
    assert fd.models.mlp(hidden_sizes=()).predict(np.zeros((2, 1, 28, 28))).shape == (2, 10)


@each_model
@each_task
def test_forward_backward_step(name, channels, size, rng):
    net = create(name, channels, size)
    x = rng.standard_normal((4, channels, size, size)).astype(np.float32)
    t = np.array([0, 3, 9, 3])
    assert net.forward(x).shape == net.predict(x).shape == (4, 10)
    assert net.backward(np.ones((4, 10), np.float32)).shape == x.shape
    assert {name: dw.shape for name, dw in net.grads.items()} == {
        name: w.shape for name, w in net.params.items()}
    trainer = fd.Trainer(net, optimizer=fd.optimizers.Adam(lr=1e-3))
    before = trainer.evaluate(x, t)["loss"]
    for _ in range(5):
        assert np.isfinite(trainer.step(x, t))
    assert trainer.evaluate(x, t)["loss"] < before


@each_model
def test_num_classes(name):
    net = fd.models.create(name, num_classes=7, in_channels=1, image_size=8)
    assert net.predict(np.zeros((1, 1, 8, 8))).shape == (1, 7)


@each_model
def test_seeds_repeat(name):
    first, second = create(name, 1, 8).state_dict(), create(name, 1, 8).state_dict()
    np.testing.assert_equal(first, second)


def make_twin(torch, name, channels, last):
    """The network in PyTorch; `last` is the size of the maps that the dense layers read."""
    nn = torch.nn

    class Simple(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, 30, 5)
            self.fc1, self.fc2 = nn.Linear(30 * last**2, 100), nn.Linear(100, 10)

        def forward(self, x):
            x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
            return self.fc2(self.fc1(x.flatten(1)).relu())

    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            parts = []
            for n_in, n_out, padding in ((channels, 16, 1), (16, 32, 2), (32, 64, 1)):
                parts += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(),
                          nn.Conv2d(n_out, n_out, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
            self.features = nn.Sequential(*parts)
            self.fc1, self.fc2 = nn.Linear(64 * last**2, 50), nn.Linear(50, 10)

        def forward(self, x):
            return self.fc2(self.fc1(self.features(x).flatten(1)).relu())

    class Cifar(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, 32, 3, padding="same")
            self.conv2 = nn.Conv2d(32, 32, 3)
            self.fc1, self.fc2 = nn.Linear(32 * last**2, 512), nn.Linear(512, 10)

        def forward(self, x):
            x = nn.functional.max_pool2d(self.conv2(self.conv1(x).relu()).relu(), 2)
            return self.fc2(self.fc1(x.flatten(1)).relu())

    class Mnist(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(channels, 64, 5), nn.Conv2d(64, 128, 5)
            self.fc1, self.fc2 = nn.Linear(128 * last**2, 2048), nn.Linear(2048, 1024)
            self.predictions = nn.Linear(1024, 10)

        def forward(self, x):
            for conv in (self.conv1, self.conv2):
                x = nn.functional.max_pool2d(conv(x).relu(), 2)
            return self.predictions(self.fc2(self.fc1(x.flatten(1)).relu()).relu())

    if name == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * last**2, 256), nn.ReLU(),
                             nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return {"simple_convnet": Simple, "deep_convnet": Deep, "cifar_net": Cifar,
            "mnist_net": Mnist}[name]()


@pytest.mark.parametrize(("name", "channels", "size", "last"), [
    ("mlp", 1, 28, 28), ("mlp", 3, 32, 32), ("simple_convnet", 1, 28, 12),
    ("simple_convnet", 1, 8, 2), ("deep_convnet", 1, 28, 4), ("deep_convnet", 1, 8, 1),
    ("deep_convnet", 3, 32, 4), ("cifar_net", 3, 32, 15), ("cifar_net", 1, 8, 3),
    ("mnist_net", 1, 28, 4)])
def test_as_in_pytorch(name, channels, size, last, rng):
    """In inference mode, where nothing is dropped."""
    torch = pytest.importorskip("torch")
    net = create(name, channels, size).astype("float64").eval()
    assert_as_twin(torch, net, make_twin(torch, name, channels, last),
                   [rng.standard_normal((3, channels, size, size))], rng)


def test_dropout_of_the_deep_network(rng):
    net = create("deep_convnet", 1, 8)
    x = rng.standard_normal((2, 1, 8, 8)).astype(np.float32)
    assert (net.forward(x) != net.forward(x)).any()
    net.eval()
    np.testing.assert_array_equal(net.forward(x), net.forward(x))


# ---- by name ----

def test_list_and_create():
    assert set(MODELS) <= set(fd.models.list())
    assert fd.models.list() == sorted(fd.models.list()) == fd.models.names()
    for name in MODELS:
        assert repr(fd.models.create(name)) == repr(getattr(fd.models, name)())


def test_create_rejects():
    with pytest.raises(fd.ArgumentError, match=r"unknown model 'resnet0'; there are: .*mlp"):
        fd.models.create("resnet0")
    with pytest.raises(TypeError, match="hidden"):
        fd.models.create("simple_convnet", hidden=3)


def test_a_cell_is_sums_over_its_edges(rng):
    """Of identities and pools alone: what can be said by hand."""
    def cell(*operations):
        return Cell(2, operations)

    x = rng.standard_normal((1, 2, 4, 4)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    pooled = np.max([padded[:, :, i:i + 4, j:j + 4] for i in range(3) for j in range(3)], axis=0)
    np.testing.assert_array_equal(cell("identity").forward(x), x)
    # 1 = pool(0);  2 = 0 + 1;  3 = 0 + 1 + 2
    y = cell("max_pool3x3", *["identity"] * 5).forward(x)
    np.testing.assert_allclose(y, 2 * (x + pooled), rtol=1e-6)


def test_parameters_of_a_cell_net():
    norm = 2

    def parameters(*operations, cells=1):
        net = fd.models.cell_net(5, 3, operations=operations, cells=cells, width=8)
        return sum(w.size for w in net.params.values())

    around = 8 * (3 * 9 + norm) + dense(8, 5)
    expected = {"identity": 0, "max_pool3x3": 0, "conv3x3": 8 * (8 * 9 + norm),
                "conv5x5": 8 * (8 * 25 + norm), "separable3x3": 8 * (9 + norm) + 8 * (8 + norm)}
    for name, count in expected.items():
        assert parameters(name) == around + count
    assert parameters("conv3x3", "identity", "conv3x3", cells=2) == (
        8 * (3 * 9 + norm) + 2 * expected["conv3x3"] + 16 * (8 * 9 + norm)
        + 2 * 16 * (16 * 9 + norm) + dense(16, 5))


@pytest.mark.parametrize(("options", "message"), [
    ({"operations": ["conv7x7"]}, "unknown operation 'conv7x7'; there are: conv3x3"),
    ({"operations": ["identity"] * 4}, "as many as a cell has edges: 1, 3, 6, 10, …, got 4"),
    ({"operations": []}, "got 0"), ({"cells": 0}, "cells must be at least 1, got 0")])
def test_cells_that_cannot_be(options, message):
    with pytest.raises(fd.ArgumentError, match=message):
        fd.models.cell_net(**options)
