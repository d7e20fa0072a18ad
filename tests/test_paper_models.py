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


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters(name, monkeypatch):
    for initial in ("he", "fan_in_uniform"):
        monkeypatch.setitem(initializers._BY_NAME, initial, initializers.zeros)
    monkeypatch.setattr(initializers, "_normal", lambda shape, std: initializers.zeros(shape))
    count, within = PUBLISHED[name]
    assert abs(sum(w.size for w in models.create(name).params.values()) - count) <= within


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
