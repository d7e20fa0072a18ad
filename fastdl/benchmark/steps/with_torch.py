"""PyTorch as a member, with the options "channels_last" and "compiled"."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from .networks import MOMENTUM, Network

# Of these, backward needs no output: a ReLU after them may write into it.
SPARE_OUTPUTS = {"Conv2d", "Linear", "BatchNorm2d", "Add"}


class Add(nn.Module):
    """The sum of two values."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


class Concat(nn.Module):
    """Values side by side."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, self.axis)


# A module for each kind of layer; `a` has the layer's options.
MODULES: dict[str, Callable[[Any], nn.Module]] = {
    "Conv2d": lambda a: nn.Conv2d(a.in_channels, a.out_channels, a.kernel_size, a.stride,
                                  a.padding, a.dilation, a.groups, a.bias),
    "Linear": lambda a: nn.Linear(a.in_features, a.out_features, a.bias),
    "BatchNorm2d": lambda a: nn.BatchNorm2d(a.num_features, a.eps, a.momentum),
    "MaxPool2d": lambda a: nn.MaxPool2d(a.kernel_size, a.stride, a.padding,
                                        ceil_mode=a.ceil_mode),
    "AvgPool2d": lambda a: nn.AvgPool2d(a.kernel_size, a.stride, a.padding, a.ceil_mode,
                                        a.count_include_pad),
    "GlobalAvgPool2d": lambda a: nn.AdaptiveAvgPool2d(1),
    # Maps have that size already in all networks here.
    "AdaptiveAvgPool2d": lambda a: nn.Identity(),
    "ReLU": lambda a: nn.ReLU(a.inplace),
    "ReLU6": lambda a: nn.ReLU6(a.inplace),
    "Dropout": lambda a: nn.Dropout(a.p),
    "Flatten": lambda a: nn.Flatten(),
    "Add": lambda a: Add(),
    "Concat": lambda a: Concat(a.axis),
}


class Net(nn.Module):
    """The network of a description (`networks.description`)."""

    def __init__(self, layers: list[dict[str, Any]]) -> None:
        super().__init__()
        self.inputs = [layer["inputs"] for layer in layers]
        last_reader = {value: i for i, values in enumerate(self.inputs) for value in values}
        # What nobody reads any more after each layer.
        self.done = [[value for value in set(values) if last_reader[value] == i]
                     for i, values in enumerate(self.inputs)]
        readers = [sum(value in values for values in self.inputs)
                   for value in range(len(layers) + 1)]
        self.parts = nn.ModuleList()
        for layer in layers:
            source = layer["inputs"][0]
            spare = source > 0 and layers[source - 1]["kind"] in SPARE_OUTPUTS
            inplace = spare and readers[source] == 1
            self.parts.append(MODULES[layer["kind"]](SimpleNamespace(**layer, inplace=inplace)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {0: x}
        for i, part in enumerate(self.parts):
            values[i + 1] = part(*[values[j] for j in self.inputs[i]])
            for j in self.done[i]:
                del values[j]
        return values[len(self.parts)]


def facts() -> dict[str, Any]:
    """For the report."""
    return {"versions": {"torch": torch.__version__}}


def prepared(layers: list[dict[str, Any]], x: np.ndarray,
             options: dict[str, Any]) -> tuple[Any, torch.Tensor]:
    """The network and its images, in the layout that is wanted."""
    net: Any = Net(layers)
    images = torch.from_numpy(x)
    if options.get("channels_last"):
        net = net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    return net, images


def training(network: Network, layers: list[dict[str, Any]], x: np.ndarray, ts: np.ndarray,
             options: dict[str, Any]) -> Callable[[int], float]:
    """See `worker`."""
    net, images = prepared(layers, x, options)
    labels, optimizer = torch.from_numpy(ts), optimizer_of(network, net)

    def loss_of(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(net(images), labels)

    function = torch.compile(loss_of) if options.get("compiled") else loss_of

    def step(i: int) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = function(images, labels[i])
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def optimizer_of(network: Network, net: Net, capturable: bool = False) -> torch.optim.Optimizer:
    """What trains it; a graph of the device may have to hold its steps."""
    if network.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=network.learning_rate, fused=True,
                                capturable=capturable)
    return torch.optim.SGD(net.parameters(), lr=network.learning_rate, momentum=MOMENTUM,
                           fused=True)


def inference(network: Network, layers: list[dict[str, Any]], x: np.ndarray,
              options: dict[str, Any]) -> Callable[[], Any]:
    """See `worker`; compiled, the weights are constants, and batch norm folds into them."""
    net, images = prepared(layers, x, options)
    net.eval()
    function: Any = net
    if options.get("compiled"):
        from torch._inductor import config

        config.freezing = True
        function = torch.compile(net)

    def predict() -> Any:
        with torch.no_grad():
            return function(images)

    return predict
