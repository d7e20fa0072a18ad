"""The networks whose training steps and predictions are timed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ... import models
from ...graph import Graph

LEARNING_RATES = {"adam": 1e-4, "momentum": 1e-3}       # low: nothing may overflow
MOMENTUM = 0.9
NO_OPTIONS = {"training", "version"}        # of a layer's attributes


class Network(NamedTuple):
    """A network at a batch size, and what trains it."""

    title: str
    model: str                              # of `fastdl.models`
    batch: int
    channels: int
    size: int                               # of the square images
    classes: int
    optimizer: str                          # a key of `LEARNING_RATES`
    options: Mapping[str, Any] = {}         # of the model

    def build(self) -> Any:
        """The network in fastdl."""
        return models.create(self.model, num_classes=self.classes, in_channels=self.channels,
                             image_size=self.size, **self.options)

    @property
    def learning_rate(self) -> float:
        """Of the optimizer."""
        return LEARNING_RATES[self.optimizer]


SMALL = (
    Network("SimpleConvNet", "simple_convnet", 100, 1, 28, 10, "adam"),
    Network("DeepConvNet", "deep_convnet", 100, 1, 28, 10, "adam"),
    Network("MLP 784-100×6-10", "mlp", 100, 1, 28, 10, "adam", {"hidden_sizes": [100] * 6}),
    Network("CIFAR net", "cifar_net", 256, 3, 32, 10, "adam"),
    Network("MNIST net", "mnist_net", 128, 1, 28, 10, "adam"),
)
LARGE = tuple(Network(title, model, batch, 3, 224, 1000, "momentum", options)
              for title, model, batch, options in (
    ("AlexNet", "alexnet", 32, {}), ("VGG-16", "vgg16", 8, {}), ("ResNet-18", "resnet18", 16, {}),
    ("ResNet-50", "resnet50", 8, {}), ("GoogLeNet", "googlenet", 16, {"aux_logits": False}),
    ("DenseNet-121", "densenet121", 8, {}), ("MobileNetV2", "mobilenet_v2", 16, {}),
    ("SqueezeNet", "squeezenet1_1", 16, {})))
NETWORKS = SMALL + LARGE


class Case(NamedTuple):
    """What is timed: a training step, or a prediction, of one batch."""

    network: Network
    training: bool

    @property
    def name(self) -> str:
        """Network, batch, and which of the two."""
        return (f"{self.network.title} {self.network.batch} "
                f"{'training' if self.training else 'inference'}")


CASES = tuple(Case(network, training) for network in NETWORKS for training in (True, False))


def description(graph: Graph) -> list[dict[str, Any]]:
    """A traced network as data, from which the peers build the same one.

    One dict for each layer, in the order in which they run: its class (``kind``), the values that
    it reads (``inputs``: 0 is the network's input, i + 1 what layer i returns), whether it has a
    ``bias``, and its own options. The last layer's is the network's output.

    >>> from fastdl.layers import Linear
    >>> from fastdl.module import Sequential
    >>> description(Sequential(Linear(4, 2)).graph)
    [{'kind': 'Linear', 'inputs': [0], 'bias': True, 'in_features': 4, 'out_features': 2}]
    """
    return [{"kind": type(layer).__name__, "inputs": [source.index for source in node.inputs],
             "bias": "bias" in layer.params,
             **{name: value for name, value in vars(layer).items()
                if name not in NO_OPTIONS and not name.startswith("_")}}
            for node, layer in graph.steps]
