"""Architectures that torchvision lacks: the papers' sizes, numerical gradients, a step."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import initializers, models
from fastdl.models.cell_net import OPERATIONS
from fastdl.models.densenet import DenseNet
from fastdl.models.fractalnet import FractalNet
from fastdl.models.pyramidnet import pyramidnet
from fastdl.models.senet import SEBottleneck
from fastdl.models.shake_shake import shake_shake
from fastdl.models.swapout import swapout
from fastdl.models.wide_resnet import wide_resnet

# Parameters: what a paper says, and half a unit of the last place it gives (one, where the paper
# cuts off in place of rounding).
PUBLISHED = {
    "lenet5": (60_000 + 850, 0),            # LeCun et al., II-B; the last layer is ours
    "alexnet_paper": (60e6, 1e6),           # Krizhevsky et al., section 1
    "mobilenet_v1": (4.2e6, 0.05e6),        # Howard et al., table 8
    "xception": (22_855_952, 0),            # Chollet, table 3
    "resnet20": (0.27e6, 5e3), "resnet32": (0.46e6, 5e3), "resnet44": (0.66e6, 5e3),
    "resnet56": (0.85e6, 5e3), "resnet110": (1.7e6, 0.05e6),            # He et al., table 6
    "preact_resnet164": (1.7e6, 0.05e6),    # He et al., 2016, table 4
    "preact_resnet1001": (10.3e6, 0.05e6),              # the paper cuts off: 10.2 M
    "wrn_40_4": (8.9e6, 0.05e6), "wrn_28_10": (36.5e6, 0.05e6),
    "wrn_16_8": (11.0e6, 0.05e6),           # Zagoruyko & Komodakis, tables 3 and 4
    "pyramidnet110_a48": (1.7e6, 0.05e6), "pyramidnet110_a84": (3.8e6, 0.1e6),
    "pyramidnet272_a200": (26.0e6, 0.05e6), "shakedrop272_a200": (26.0e6, 0.05e6),
    "densenet_bc100": (0.8e6, 0.05e6),      # Huang et al., table 2
    "ror3_110": (1.7e6, 0.05e6), "stochastic_depth110": (1.7e6, 0.05e6),
    "swapout20": (1.1e6, 0.05e6), "swapout32": (7.43e6, 5e3),           # Singh et al., table 4
    "shake_shake26_32": (2.9e6, 0.05e6), "shake_shake26_64": (11.7e6, 0.05e6),
    "shake_shake26_96": (26.2e6, 0.05e6),   # Gastaldi, table 1
    "se_resnet50": (25_557_032 + 2.5e6, 0.05e6),        # Hu et al., section 4
    "zfnet": (62_357_608, 0),               # by hand, from figure 3
}


@pytest.fixture
def count(monkeypatch):
    """``count(net)`` of parameters, of networks that are made without numbers, which take time."""
    for initial in ("he", "fan_in_uniform"):
        monkeypatch.setitem(initializers._BY_NAME, initial, initializers.zeros)
    monkeypatch.setattr(initializers, "_normal", lambda shape, std: initializers.zeros(shape))
    return lambda net: sum(w.size for w in net.params.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters(name, count):
    published, within = PUBLISHED[name]
    assert abs(count(models.create(name)) - published) <= within


def conv(n_in, n_out, size=3):
    return n_out * n_in * size**2


def norm(channels):
    return 2 * channels


def dense(n_in, n_out):
    return n_in * n_out + n_out


def preactivated(widths, blocks, *, bottleneck=False, stem=16):
    """Of pre-activation ResNets: three stages, a projection wherever the width changes."""
    total, before = conv(3, stem), stem
    for width in widths:
        for _ in range(blocks):
            inside = width // 4
            total += norm(before) + (before != width) * conv(before, width, 1) + (
                conv(before, inside, 1) + norm(inside) + conv(inside, inside) + norm(inside)
                + conv(inside, width, 1) if bottleneck
                else conv(before, width) + norm(width) + conv(width, width))
            before = width
    return total + norm(before) + dense(before, 10)


def pyramid(depth, alpha, *, bottleneck=False):
    """Of PyramidNets: width k of N is 16 + alpha k / N, rounded down; shortcuts have no weights."""
    blocks = (depth - 2) // (3 if bottleneck else 2)
    total, before = conv(3, 16), 16
    for k in range(1, blocks + 1):
        width = 16 + alpha * k // blocks
        if bottleneck:
            total += (norm(before) + conv(before, width, 1) + norm(width) + conv(width, width)
                      + norm(width) + conv(width, 4 * width, 1) + norm(4 * width))
            before = 4 * width
        else:
            total += norm(before) + conv(before, width) + conv(width, width) + 2 * norm(width)
            before = width
    return total + norm(before) + dense(before, 10)


def fractal(columns, widths, classes):
    """Of FractalNets: in a block 1 + 2 + 4 + … convolutions, of which one a column reads x."""
    total, before, convs = 0, 3, 2**columns - 1
    for width in widths:
        total += (columns * conv(before, width) + (convs - columns) * conv(width, width)
                  + convs * norm(width))
        before = width
    return total + dense(before, classes)


def residual_110():
    """Of the ResNet-110 of He et al., whose shortcuts have no weights."""
    total, before = conv(3, 16) + norm(16), 16
    for width in (16, 32, 64):
        total += conv(before, width) + 35 * conv(width, width) + 36 * norm(width)
        before = width
    return total + dense(64, 10)


# Counted by hand from the papers' descriptions, where the figures that these print are rough or
# others. The tests of pytorchcv (github.com/osmr/imgclsmob), which has nothing in common with this
# package, say the same of three of them, and 32 more of two PyramidNets, whose first convolution is
# followed by a batch norm there. Its RoR-3-110 is a smaller network, of 1,637,690.
BY_HAND = {
    "fractalnet20": fractal(3, (64, 128, 256, 512, 512), 10),           # pytorchcv: 33,724,618
    "preact_resnet1001": preactivated((64, 128, 256), 111, bottleneck=True),    # and 10,327,706
    "preact_resnet164": preactivated((64, 128, 256), 18, bottleneck=True),      # and 1,703,258
    "pyramidnet110_a270": pyramid(110, 270),            # 28,485,477 there; the paper says 28.3 M
    "pyramidnet164_a270": pyramid(164, 270, bottleneck=True),           # 27,216,021; 27.0 M
    "pyramidnet272_a200": pyramid(272, 200, bottleneck=True),
    "ror3_110": (residual_110() + conv(16, 32, 1) + norm(32) + conv(32, 64, 1) + norm(64)
                 + conv(16, 64, 1) + norm(64)),         # over two stages, and over all of them
    "swapout20": preactivated((32, 64, 128), 3, stem=32),       # 1.084 M; the paper says 1.09 M
    "swapout32": preactivated((64, 128, 256), 5, stem=64),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_number_of_parameters_by_hand(name, count):
    assert count(models.create(name)) == BY_HAND[name]


def test_sizes_of_further_networks_of_the_papers(count):
    """Those of Larsson et al., table 3 (a quarter as wide, for 100 classes), and PyramidNets."""
    for columns, millions in enumerate((0.3, 0.8, 2.1, 4.8, 10.2, 21.1), 1):
        net = FractalNet(columns, (16, 32, 64, 128, 128), 100)
        assert abs(count(net) / 1e6 - millions) <= 0.05
    for depth, alpha, millions in ((200, 240, 26.6), (236, 220, 26.8)):     # Han et al., table 4
        assert abs(count(pyramidnet(depth, alpha, bottleneck=True)) / 1e6 - millions) <= 0.05


SMALL = {"num_classes": 3, "in_channels": 2}
# Networks reduced until a difference takes little time; what is random in training is left out
# where the gradient is checked.
REDUCED = {
    "cell_net": (lambda: models.cell_net(
        operations=[*OPERATIONS, "identity"], cells=2, width=4, **SMALL), (2, 8)),
    "lenet5": (lambda: models.lenet5(3, in_channels=1, image_size=16), (1, 16)),
    "resnet_cifar": (lambda: models.resnet_cifar(8, 3, in_channels=2), (2, 8)),
    "preact_resnet110": (lambda: models.preact_resnet(8, 3, bottleneck=False, in_channels=2),
                         (2, 8)),
    "preact_resnet164": (lambda: models.preact_resnet(11, 3, in_channels=2), (2, 8)),
    "wide_resnet": (lambda: wide_resnet(10, 1, 3, in_channels=2), (2, 8)),
    "densenet": (lambda: DenseNet((2, 2), 3, 4, small=True, **SMALL), (2, 8)),
    "pyramidnet": (lambda: pyramidnet(8, 9, 3, in_channels=2), (2, 8)),
    "pyramidnet, bottlenecks": (lambda: pyramidnet(11, 9, 3, bottleneck=True, in_channels=2),
                                (2, 8)),
    "ror": (lambda: models.ror3_110(3, depth=8, in_channels=2), (2, 8)),
    "mobilenet_v1": (lambda: models.mobilenet_v1(3, in_channels=2, width_mult=0.125), (2, 64)),
    "xception": (lambda: models.Xception(3, 2, middle=1), (2, 40)),
    "se_resnet110": (lambda: models.se_resnet110(3, depth=8, reduction=4, in_channels=2), (2, 8)),
    "se_resnet50": (lambda: models.ResNet(SEBottleneck, (1, 1, 1, 1), **SMALL), (2, 64)),
    "alexnet_paper": (lambda: models.AlexNetPaper(3, 2, 63), (2, 63)),
    "zfnet": (lambda: models.zfnet(3, in_channels=2, image_size=53), (2, 53)),
    "fractalnet": (lambda: FractalNet(3, (3, 4), 3, 2), (2, 8)),
    "stochastic_depth": (lambda: models.stochastic_depth110(3, depth=8, in_channels=2), (2, 8)),
    "swapout": (lambda: swapout(8, 1, 3, in_channels=2), (2, 8)),
    "shake_shake": (lambda: shake_shake(8, 4, 3, in_channels=2), (2, 8)),
    "shakedrop": (lambda: models.shakedrop272_a200(3, depth=8, alpha=9, bottleneck=False,
                                                   in_channels=2), (2, 8)),
}
RANDOM = fd.layers.Dropout | fd.layers.StochasticDepth | fd.layers.DropPath | (
    fd.layers.Swapout | fd.layers.ShakeShake | fd.layers.ShakeDrop)


def made(name, rng):
    """The reduced network, and a batch of four."""
    build, (channels, size) = REDUCED[name]
    fd.seed(0)
    return build(), rng.standard_normal((4, channels, size, size))


@pytest.mark.parametrize("name", REDUCED)
def test_gradients_by_differences(name, rng):
    """Along a random direction in all parameters and the input; batch norm is as in training."""
    net, x = made(name, rng)
    net.astype("float64")
    for layer in net.graph.layers():
        layer.training = not isinstance(layer, RANDOM)
    y = net.forward(x)
    dy = rng.standard_normal(y.shape)
    dx = net.backward(dy)
    grads = {key: dw.copy() for key, dw in net.grads.items()}
    around = {key: rng.standard_normal(w.shape) * (np.abs(w).mean() + 0.01)
              for key, w in net.params.items()}
    x_around = rng.standard_normal(x.shape)
    start = {key: w.copy() for key, w in net.params.items()}

    def along(step):
        for key, w in net.params.items():
            w[...] = start[key] + step * around[key]
        return np.sum(net.forward(x + step * x_around) * dy)

    step = 1e-8                 # with larger ones, some ReLU of many turns over
    expected = (along(step) - along(-step)) / (2 * step)
    actual = np.sum(dx * x_around) + sum(np.sum(grads[key] * around[key]) for key in grads)
    assert actual == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert all(dw.any() for key, dw in grads.items() if key.startswith(("fc.", "conv1.")))


@pytest.mark.parametrize("name", REDUCED)
def test_training_steps(name, rng):
    """With all that is random: the loss of four images falls."""
    net, x = made(name, rng)
    x, t = x.astype(np.float32), np.array([0, 1, 2, 0])
    lr = 1e-4 if name == "alexnet_paper" else 3e-3          # it has wide dense layers and no norm
    trainer = fd.Trainer(net, optimizer=fd.optimizers.Adam(lr=lr))
    losses = [trainer.step(x, t) for _ in range(24)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
    assert net.predict(x).shape == (4, 3)
