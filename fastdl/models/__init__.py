"""Architectures, one file per family. `create` builds one by name, `list` gives the names."""

from ._registry import create, names
from ._registry import names as list  # noqa: A004 - the public name, as in fd.models.list()
from .alexnet import AlexNet, alexnet
from .cifar_net import CifarNet, cifar_net
from .deep_convnet import DeepConvNet, deep_convnet
from .densenet import (
    DenseNet,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
    densenet_bc100,
)
from .googlenet import GoogLeNet, googlenet
from .inception_v3 import Inception3, inception_v3
from .mlp import mlp
from .mnist_net import MnistNet, mnist_net
from .mobilenet_v2 import MobileNetV2, mobilenet_v2
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
from .simple_convnet import SimpleConvNet, simple_convnet
from .squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
