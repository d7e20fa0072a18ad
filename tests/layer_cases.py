"""Every layer in small: how it is made, its twin in PyTorch, the shapes of its inputs."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastdl import layers


class Case(NamedTuple):
    """`twin` makes PyTorch's module (or function) from ``torch``; None where there is none."""

    make: Callable[[], layers.Layer]
    twin: Callable[[Any], Any] | None
    shapes: tuple[tuple[int, ...], ...]
    training: bool = True

    def inputs(self, rng):
        """Values in random order, no two (and none and 0) as near as a numerical step."""
        return [rng.permutation(np.arange(size := math.prod(shape)) - size / 2 + 0.25)
                .reshape(shape) * (3 / size) for shape in self.shapes]


MAPS = (2, 3, 6, 5)

CASES = {
    "conv": Case(lambda: layers.Conv2d(3, 4, 3),
                 lambda torch: torch.nn.Conv2d(3, 4, 3), (MAPS,)),
    "conv, window": Case(
        lambda: layers.Conv2d(3, 2, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        lambda torch: torch.nn.Conv2d(3, 2, (3, 2), (2, 1), (1, 2), (1, 2)), (MAPS,)),
    "conv, groups": Case(
        lambda: layers.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
        lambda torch: torch.nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), ((2, 4, 4, 4),)),
    "conv, depthwise": Case(
        lambda: layers.Conv2d(3, 3, 3, groups=3),
        lambda torch: torch.nn.Conv2d(3, 3, 3, groups=3), (MAPS,)),
    "conv, 1×1": Case(lambda: layers.Conv2d(3, 5, 1, stride=2),
                      lambda torch: torch.nn.Conv2d(3, 5, 1, 2), (MAPS,)),
    "linear": Case(lambda: layers.Linear(5, 4), lambda torch: torch.nn.Linear(5, 4), ((3, 5),)),
    "linear, no bias": Case(lambda: layers.Linear(5, 4, bias=False),
                            lambda torch: torch.nn.Linear(5, 4, bias=False), ((3, 5),)),
    "linear, rows": Case(lambda: layers.Linear(5, 4), lambda torch: torch.nn.Linear(5, 4),
                         ((2, 3, 5),)),
    "max pool": Case(lambda: layers.MaxPool2d(2), lambda torch: torch.nn.MaxPool2d(2), (MAPS,)),
    "max pool, window": Case(
        lambda: layers.MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0), ceil_mode=True),
        lambda torch: torch.nn.MaxPool2d((3, 2), (1, 2), (1, 0), ceil_mode=True), (MAPS,)),
    "avg pool": Case(lambda: layers.AvgPool2d(2), lambda torch: torch.nn.AvgPool2d(2), (MAPS,)),
    "avg pool, window": Case(
        lambda: layers.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda torch: torch.nn.AvgPool2d(3, 2, 1, True, False), (MAPS,)),
    "global avg pool": Case(lambda: layers.GlobalAvgPool2d(),
                            lambda torch: torch.nn.AdaptiveAvgPool2d(1), (MAPS,)),
    "global max pool": Case(lambda: layers.GlobalMaxPool2d(),
                            lambda torch: torch.nn.AdaptiveMaxPool2d(1), (MAPS,)),
    "batch norm 1d": Case(lambda: layers.BatchNorm1d(3),
                          lambda torch: torch.nn.BatchNorm1d(3), ((5, 3),)),
    "batch norm 1d, lengths": Case(
        lambda: layers.BatchNorm1d(3, eps=1e-3, momentum=0.3),
        lambda torch: torch.nn.BatchNorm1d(3, 1e-3, 0.3), ((2, 3, 4),)),
    "batch norm 2d": Case(lambda: layers.BatchNorm2d(3),
                          lambda torch: torch.nn.BatchNorm2d(3), (MAPS,)),
    "batch norm 2d, eval": Case(lambda: layers.BatchNorm2d(3),
                                lambda torch: torch.nn.BatchNorm2d(3), (MAPS,), training=False),
    "batch norm 2d, not affine": Case(
        lambda: layers.BatchNorm2d(3, affine=False),
        lambda torch: torch.nn.BatchNorm2d(3, affine=False), (MAPS,)),
    "batch norm 2d, untracked, eval": Case(
        lambda: layers.BatchNorm2d(3, track_running_stats=False),
        lambda torch: torch.nn.BatchNorm2d(3, track_running_stats=False), (MAPS,), training=False),
    "relu": Case(lambda: layers.ReLU(), lambda torch: torch.nn.ReLU(), ((3, 4),)),
    "relu6": Case(lambda: layers.ReLU6(), lambda torch: torch.nn.ReLU6(), ((3, 4),)),
    "leaky relu": Case(lambda: layers.LeakyReLU(0.2),
                       lambda torch: torch.nn.LeakyReLU(0.2), ((3, 4),)),
    "sigmoid": Case(lambda: layers.Sigmoid(), lambda torch: torch.nn.Sigmoid(), ((3, 4),)),
    "tanh": Case(lambda: layers.Tanh(), lambda torch: torch.nn.Tanh(), ((3, 4),)),
    "silu": Case(lambda: layers.SiLU(), lambda torch: torch.nn.SiLU(), ((3, 4),)),
    "hardsigmoid": Case(lambda: layers.Hardsigmoid(),
                        lambda torch: lambda x: torch.nn.functional.relu6(x + 3) / 6, ((3, 4),)),
    "hardswish": Case(lambda: layers.Hardswish(), lambda torch: torch.nn.Hardswish(), ((3, 4),)),
    "gelu": Case(lambda: layers.GELU(), lambda torch: torch.nn.GELU(), ((3, 4),)),
    "gelu, tanh": Case(lambda: layers.GELU("tanh"), lambda torch: torch.nn.GELU("tanh"),
                       ((3, 4),)),
    "silu, maps": Case(lambda: layers.SiLU(), lambda torch: torch.nn.SiLU(), (MAPS,)),
    "softmax": Case(lambda: layers.Softmax(), lambda torch: torch.nn.Softmax(-1), ((3, 4),)),
    "softmax, channels": Case(lambda: layers.Softmax(1),
                              lambda torch: torch.nn.Softmax(1), ((2, 3, 2, 2),)),
    "dropout": Case(lambda: layers.Dropout(0.4), None, ((6, 7),)),
    "dropout, eval": Case(lambda: layers.Dropout(0.4),
                          lambda torch: torch.nn.Dropout(0.4), ((6, 7),), training=False),
    "flatten": Case(lambda: layers.Flatten(), lambda torch: torch.nn.Flatten(), ((2, 3, 2, 2),)),
    "add": Case(lambda: layers.Add(), lambda torch: lambda a, b, c: a + b + c, ((2, 3),) * 3),
    "mean": Case(lambda: layers.Mean(),
                 lambda torch: lambda a, b, c: (a + b + c) / 3, ((2, 3),) * 3),
    "multiply": Case(lambda: layers.Multiply(), lambda torch: lambda a, b: a * b, ((2, 3),) * 2),
    "multiply, attention": Case(lambda: layers.Multiply(), lambda torch: lambda a, b: a * b,
                                (MAPS, (2, 3, 1, 1))),
    "multiply, attention first": Case(
        lambda: layers.Multiply(), lambda torch: lambda a, b: a * b, ((2, 3, 1, 1), MAPS)),
    "multiply, pixels": Case(lambda: layers.Multiply(), lambda torch: lambda a, b: a * b,
                             (MAPS, (2, 1, 6, 5))),
    "multiply, outer": Case(lambda: layers.Multiply(), lambda torch: lambda a, b: a * b,
                            ((2, 3, 1, 5), (2, 1, 6, 5))),
    "concat": Case(lambda: layers.Concat(),
                   lambda torch: lambda *inputs: torch.cat(inputs, 1), ((2, 3, 2), (2, 1, 2))),
    "concat, last axis": Case(
        lambda: layers.Concat(-1),
        lambda torch: lambda *inputs: torch.cat(inputs, -1), ((2, 3), (2, 1), (2, 2))),
}
