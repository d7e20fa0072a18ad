"""Architectures, one file per family. `create` builds one by name, `list` gives the names."""

from ._registry import create, names
from ._registry import names as list  # noqa: A004 - the public name, as in fd.models.list()
from .alexnet import AlexNet, alexnet
from .cifar_net import CifarNet, cifar_net
from .deep_convnet import DeepConvNet, deep_convnet
from .densenet import DenseNet, densenet121
from .googlenet import GoogLeNet, googlenet
from .mlp import mlp
from .mnist_net import MnistNet, mnist_net
from .mobilenet_v2 import MobileNetV2, mobilenet_v2
from .resnet import ResNet, resnet18, resnet50
from .simple_convnet import SimpleConvNet, simple_convnet
from .squeezenet import SqueezeNet, squeezenet1_1
from .vgg import VGG, vgg11, vgg16

__all__ = [
    "VGG", "AlexNet", "CifarNet", "DeepConvNet", "DenseNet", "GoogLeNet", "MnistNet", "MobileNetV2",
    "ResNet", "SimpleConvNet", "SqueezeNet", "alexnet", "cifar_net", "create", "deep_convnet",
    "densenet121", "googlenet", "list", "mlp", "mnist_net", "mobilenet_v2", "names", "resnet18",
    "resnet50", "simple_convnet", "squeezenet1_1", "vgg11", "vgg16",
]
