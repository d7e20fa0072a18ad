"""Initial weights: moments by hand, seeds, and PyTorch's defaults."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl import initializers
from fastdl.layers import Conv2d, Linear

SHAPE = (200, 60, 3, 3)             # 108,000 values; fan-in 540, fan-out 1800


@pytest.mark.parametrize(("shape", "fans"), [
    ((100, 784), (784, 100)), ((16, 3, 5, 5), (75, 400)), ((8, 1, 3, 3), (9, 72)),
    ((6, 4, 7), (28, 42)), ((5, 0), (0, 5))])
def test_fans(shape, fans):
    assert initializers.fans(shape) == fans


@pytest.mark.parametrize("shape", [(), (5,)])
def test_fans_of_a_bias(shape):
    with pytest.raises(fd.ArgumentError, match="fans: a weight has at least 2 dimensions, got"):
        initializers.fans(shape)


@pytest.mark.parametrize(("initializer", "std", "uniform"), [
    ("gauss", 0.01, False), (0.3, 0.3, False), (initializers.gauss(2), 2, False),
    ("he", math.sqrt(2 / 540), False), ("he_normal", math.sqrt(2 / 540), False),
    ("he_uniform", math.sqrt(2 / 540), True), ("xavier", math.sqrt(2 / 2340), False),
    ("xavier_normal", math.sqrt(2 / 2340), False), ("xavier_uniform", math.sqrt(2 / 2340), True),
    ("fan_in_uniform", math.sqrt(1 / 540 / 3), True),
], ids=str)
def test_moments(initializer, std, uniform):
    """Mean, variance and fourth moment, each within five standard deviations of its estimate."""
    fd.seed(0)
    w = initializers.get(initializer)(SHAPE)
    assert w.dtype == np.float32
    assert w.shape == SHAPE
    z = w.ravel().astype(np.float64) / std
    fourth = 9 / 5 if uniform else 3
    eighth = 9 if uniform else 105
    for power, expected, variance in ((1, 0, 1), (2, 1, fourth - 1), (4, fourth,
                                                                     eighth - fourth**2)):
        assert abs((z**power).mean() - expected) < 5 * math.sqrt(variance / z.size)
    if uniform:
        assert abs(z).max() <= math.sqrt(3) * (1 + 1e-6)
    else:
        assert abs(z).max() > 4                                 # tails


def test_constants():
    np.testing.assert_array_equal(initializers.get("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.get("ones")((2, 3)), np.ones((2, 3)))
    assert initializers.zeros(3).dtype == initializers.ones(3).dtype == np.float32


def test_seeds():
    fd.seed(5)
    first = initializers.he_normal((4, 5))
    assert (initializers.he_normal((4, 5)) != first).all()
    fd.seed(5)
    np.testing.assert_array_equal(initializers.he_normal((4, 5)), first)


def test_layers_use_them():
    np.testing.assert_array_equal(Linear(3, 2, weight_init="ones").weight, np.ones((2, 3)))
    np.testing.assert_array_equal(Linear(3, 2, weight_init=lambda shape: np.full(shape, 7.0))
                                  .weight, np.full((2, 3), 7))
    assert 0.9 < Conv2d(10, 100, 5, weight_init=1.0).weight.std() < 1.1
    for layer in (Linear(3, 2, weight_init="he"), Conv2d(3, 2, 3, weight_init=0.01)):
        assert not layer.bias.any()                             # unlike the default's


@pytest.mark.parametrize(("ours", "twin"), [
    (lambda: Linear(50, 400), lambda torch: torch.nn.Linear(50, 400)),
    (lambda: Conv2d(8, 80, 3, groups=2), lambda torch: torch.nn.Conv2d(8, 80, 3, groups=2))])
def test_default_is_pytorchs(ours, twin):
    """Both draw uniformly from ±1 / sqrt(fan-in): the extremes of many draws come near to it."""
    torch = pytest.importorskip("torch")
    fd.seed(0)
    torch.manual_seed(0)
    layer, state = ours(), twin(torch).state_dict()
    for name, w in layer.params.items():
        bound = 1 / math.sqrt(initializers.fans(layer.weight.shape)[0])
        for values in (w, state[name].numpy()):
            assert 0.9 * bound < abs(values).max() <= bound * (1 + 1e-6)
            assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)


@pytest.mark.parametrize(("wrong", "message"), [
    ("hee", "unknown initializer 'hee'; there are: zeros, ones, gauss, .*or a standard deviation"),
    (None, "a name, a standard deviation or a function, got None"),
    ([0.1], r"a name, a standard deviation or a function, got \[0.1\]")])
def test_get_rejects(wrong, message):
    with pytest.raises(fd.ArgumentError, match=message):
        initializers.get(wrong)
