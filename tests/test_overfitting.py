"""Every architecture learns 64 photographs of CIFAR-10 by heart: it can be trained.

Networks are reduced to about 10⁵ parameters where they have a size to choose. Those without one are
as large as they are, and wait for the weekly workflow, as do others that take more than moments.
"""

import functools

import numpy as np
import pytest

import fastdl as fd
from fastdl import models
from fastdl.models.densenet import DenseNet
from fastdl.models.efficientnet import EfficientNet
from fastdl.models.fractalnet import FractalNet
from fastdl.models.preact_resnet import preact_resnet
from fastdl.models.pyramidnet import pyramidnet
from fastdl.models.resnet import BasicBlock, Bottleneck, ResNet
from fastdl.models.resnet_cifar import resnet_cifar
from fastdl.models.senet import SEBasicBlock, SEBottleneck
from fastdl.models.shake_shake import shake_shake
from fastdl.models.swapout import swapout
from fastdl.models.wide_resnet import wide_resnet

IMAGES = 64
STEPS = 1000                # at most, each of all images
LEARNED = 0.95

VGG = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]

# For the names of each architecture: a network that stands for them.
QUICK = {
    "cell_net": lambda: models.cell_net(cells=2),
    "cifar_net": models.cifar_net,
    "deep_convnet": lambda: models.deep_convnet(in_channels=3, image_size=32),
    "lenet5": lambda: models.lenet5(in_channels=3, image_size=32),
    "mlp": lambda: models.mlp(in_channels=3, image_size=32, hidden_sizes=(32, 32)),
    "mobilenet_v1": lambda: models.mobilenet_v1(10, width_mult=0.125),
    "mobilenet_v2": lambda: models.mobilenet_v2(10, width_mult=0.1),
    "preact_resnet110": lambda: preact_resnet(8, bottleneck=False),
    "preact_resnet164 preact_resnet1001": lambda: preact_resnet(11),
    "pyramidnet110_a48 pyramidnet110_a84 pyramidnet110_a270": lambda: pyramidnet(8, 48),
    "resnet20 resnet32 resnet44 resnet56 resnet110": lambda: resnet_cifar(8),
    "ror3_110": lambda: models.ror3_110(depth=8),
    "se_resnet110": lambda: models.se_resnet110(depth=8, reduction=4),
    "simple_convnet": lambda: models.simple_convnet(in_channels=3, image_size=32),
    "stochastic_depth110": lambda: models.stochastic_depth110(depth=8),
    "swapout20 swapout32": lambda: swapout(8, 1),
    "wrn_16_8 wrn_28_10 wrn_40_4": lambda: wide_resnet(10, 1),
}
SLOW = {
    "alexnet": lambda: models.alexnet(10, image_size=64),
    "alexnet_paper": lambda: models.alexnet_paper(10, image_size=64),
    "densenet121 densenet161 densenet169 densenet201": lambda: DenseNet((2, 2, 2, 2), 12, 24, 10),
    "densenet_bc100": lambda: DenseNet((4, 4, 4), 12, 24, 10, small=True),
    " ".join(f"efficientnet_b{i}" for i in range(8)): lambda: EfficientNet(0.2, 0.4, 0.2, 10),
    "fractalnet20": lambda: FractalNet(3, (8, 16, 32)),
    "googlenet": lambda: models.googlenet(10),
    "inception_v3": lambda: models.inception_v3(10, aux_logits=False),
    "mnist_net": lambda: models.mnist_net(in_channels=3, image_size=32),
    "mobilenet_v3_large": lambda: models.mobilenet_v3_large(10, width_mult=0.15),
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(10, width_mult=0.2),
    "pyramidnet164_a270 pyramidnet272_a200": lambda: pyramidnet(11, 24, bottleneck=True),
    "r3d_18": lambda: models.r3d_18(10),
    "resnet18 resnet34": lambda: ResNet(BasicBlock, (1, 1, 1, 1), 10),
    "resnet50 resnet101 resnet152": lambda: ResNet(Bottleneck, (1, 1, 1, 1), 10),
    "resnext50_32x4d resnext101_32x8d": lambda: ResNet(Bottleneck, (1, 1, 1, 1), 10, groups=32,
                                                       width_per_group=4),
    "se_resnet18": lambda: ResNet(SEBasicBlock, (1, 1, 1, 1), 10),
    "se_resnet50": lambda: ResNet(SEBottleneck, (1, 1, 1, 1), 10),
    "shake_shake26_32 shake_shake26_64 shake_shake26_96": lambda: shake_shake(8, 8),
    "shakedrop272_a200": lambda: models.shakedrop272_a200(depth=8, alpha=48, bottleneck=False),
    "squeezenet1_0": lambda: models.squeezenet1_0(10),
    "squeezenet1_1": lambda: models.squeezenet1_1(10),
    **{name: functools.partial(models.create, name, num_classes=10, image_size=32)
       for name in VGG},
    "wide_resnet50_2 wide_resnet101_2": lambda: ResNet(Bottleneck, (1, 1, 1, 1), 10,
                                                       width_per_group=128),
    "xception": lambda: models.Xception(10, middle=1),
    "zfnet": lambda: models.zfnet(10, image_size=64),
}
NETWORKS = QUICK | SLOW
SIZES = {"alexnet": 64, "alexnet_paper": 64, "inception_v3": 75, "squeezenet1_0": 64,
         "squeezenet1_1": 64, "zfnet": 64}                          # of images; others have 32
RATES = {       # of learning, where it is not 1e-3
    "fractalnet20": 1e-2, "mobilenet_v3_large": 3e-3, "mobilenet_v3_small": 3e-3,
    "shake_shake26_32 shake_shake26_64 shake_shake26_96": 1e-2, "shakedrop272_a200": 3e-3,
    "squeezenet1_0": 3e-4, "squeezenet1_1": 3e-4, **dict.fromkeys(VGG[3:], 1e-4)}


@functools.cache
def photographs():
    """The first of the training images, and their classes."""
    if not fd.datasets.is_local("cifar10"):
        pytest.skip("CIFAR-10 is not here")
    (x, t), _ = fd.datasets.cifar10()
    x = x[:IMAGES]
    return (x - x.mean()) / x.std(), t[:IMAGES].copy()


def overfit(name):
    """Train until the images are known, at most `STEPS`: (the network, accuracy, steps)."""
    x, t = photographs()
    place = np.arange(size := SIZES.get(name, 32)) * 32 // size
    x = np.ascontiguousarray(x[:, :, place[:, None], place])
    if name == "r3d_18":                                            # of two frames
        x = np.repeat(x[:, :, None], 2, axis=2)
    fd.seed(0)
    net = NETWORKS[name]()
    trainer = fd.Trainer(net, optimizer=fd.optimizers.Adam(lr=RATES.get(name, 1e-3)))
    for step in range(1, STEPS + 1):
        trainer.step(x, t)
        if step % 10 == 0:
            accuracy = np.mean(net.predict(x).argmax(axis=1) == t)
            if accuracy >= LEARNED:
                break
    return net, accuracy, step


def test_every_architecture_is_here():
    assert sorted(" ".join(NETWORKS).split()) == models.list()


@pytest.mark.parametrize("name", [
    *QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_overfits(name):
    """In inference, so what batch norm has learned of the images is in it."""
    assert overfit(name)[1] >= LEARNED
