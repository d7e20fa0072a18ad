"""Architectures, one file per family. `create` builds one by name, `list` gives the names."""

from ._registry import create, names
from ._registry import names as list  # noqa: A004 - the public name, as in fd.models.list()
from .alexnet import AlexNet, AlexNetPaper, alexnet, alexnet_paper
from .cell_net import CellNet, cell_net
from .cifar_net import CifarNet, cifar_net
from .deep_convnet import DeepConvNet, deep_convnet
from .densenet import DenseNet, densenet121, densenet161, densenet169, densenet201, densenet_bc100
from .efficientnet import (
    EfficientNet,
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
)
from .fractalnet import FractalNet, fractalnet20
from .googlenet import GoogLeNet, googlenet
from .inception_v3 import Inception3, inception_v3
from .lenet import LeNet5, lenet5
from .mlp import mlp
from .mnist_net import MnistNet, mnist_net
from .mobilenet_v1 import MobileNetV1, mobilenet_v1
from .mobilenet_v2 import MobileNetV2, mobilenet_v2
from .mobilenet_v3 import MobileNetV3, mobilenet_v3_large, mobilenet_v3_small
from .preact_resnet import preact_resnet, preact_resnet110, preact_resnet164, preact_resnet1001
from .pyramidnet import (
    pyramidnet,
    pyramidnet110_a48,
    pyramidnet110_a84,
    pyramidnet110_a270,
    pyramidnet164_a270,
    pyramidnet272_a200,
)
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .resnet_cifar import (
    SmallResNet,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet_cifar,
)
from .ror import RoR, ror3_110
from .senet import se_resnet18, se_resnet50, se_resnet110
from .shake_shake import shake_shake26_32, shake_shake26_64, shake_shake26_96
from .shakedrop import shakedrop272_a200
from .simple_convnet import SimpleConvNet, simple_convnet
from .squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from .stochastic_depth import stochastic_depth110
from .swapout import swapout, swapout20, swapout32
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from .video_resnet import VideoResNet, r3d_18
from .wide_resnet import wide_resnet, wrn_16_8, wrn_28_10, wrn_40_4
from .xception import Xception, xception
from .zfnet import ZFNet, zfnet

__all__ = [
    "VGG", "AlexNet", "AlexNetPaper", "CellNet", "CifarNet", "DeepConvNet", "DenseNet",
    "EfficientNet", "FractalNet", "GoogLeNet", "Inception3", "LeNet5", "MnistNet", "MobileNetV1",
    "MobileNetV2", "MobileNetV3", "ResNet", "RoR", "SimpleConvNet", "SmallResNet", "SqueezeNet",
    "VideoResNet", "Xception", "ZFNet", "alexnet", "alexnet_paper", "cell_net", "cifar_net",
    "create", "deep_convnet", "densenet121", "densenet161", "densenet169", "densenet201",
    "densenet_bc100", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "fractalnet20",
    "googlenet", "inception_v3", "lenet5", "list", "mlp", "mnist_net", "mobilenet_v1",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "names", "preact_resnet",
    "preact_resnet110", "preact_resnet164", "preact_resnet1001", "pyramidnet", "pyramidnet110_a48",
    "pyramidnet110_a84", "pyramidnet110_a270", "pyramidnet164_a270", "pyramidnet272_a200", "r3d_18",
    "resnet18", "resnet20", "resnet32", "resnet34", "resnet44", "resnet50", "resnet56", "resnet101",
    "resnet110", "resnet152", "resnet_cifar", "resnext50_32x4d", "resnext101_32x8d", "ror3_110",
    "se_resnet18", "se_resnet50", "se_resnet110", "shake_shake26_32", "shake_shake26_64",
    "shake_shake26_96", "shakedrop272_a200", "simple_convnet", "squeezenet1_0", "squeezenet1_1",
    "stochastic_depth110", "swapout", "swapout20", "swapout32", "vgg11", "vgg11_bn", "vgg13",
    "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "wide_resnet", "wide_resnet50_2",
    "wide_resnet101_2", "wrn_16_8", "wrn_28_10", "wrn_40_4", "xception", "zfnet",
]
