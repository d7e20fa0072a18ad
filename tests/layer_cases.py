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


ROWS, MAPS, VOLUMES = (2, 3, 7), (2, 3, 6, 5), (2, 3, 4, 3, 5)

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
    **{f"conv, {mode} padding": Case(
        lambda mode=mode: layers.Conv2d(3, 4, 3, stride=(1, 2), padding=(2, 1), padding_mode=mode),
        lambda torch, mode=mode: torch.nn.Conv2d(3, 4, 3, (1, 2), (2, 1), padding_mode=mode),
        (MAPS,)) for mode in ("reflect", "replicate", "circular")},
    "conv 1d": Case(lambda: layers.Conv1d(3, 4, 3),
                    lambda torch: torch.nn.Conv1d(3, 4, 3), (ROWS,)),
    "conv 1d, window": Case(
        lambda: layers.Conv1d(4, 6, 3, 2, 3, 2, 2, padding_mode="replicate"),
        lambda torch: torch.nn.Conv1d(4, 6, 3, 2, 3, 2, 2, padding_mode="replicate"), ((2, 4, 9),)),
    "conv 3d": Case(lambda: layers.Conv3d(3, 4, 2), lambda torch: torch.nn.Conv3d(3, 4, 2),
                    (VOLUMES,)),
    "conv 3d, window": Case(
        lambda: layers.Conv3d(4, 6, (3, 2, 1), (2, 1, 2), (2, 1, 0), (2, 1, 1), 2, bias=False),
        lambda torch: torch.nn.Conv3d(4, 6, (3, 2, 1), (2, 1, 2), (2, 1, 0), (2, 1, 1), 2, False),
        ((2, 4, 4, 3, 3),)),
    "conv 3d, depthwise": Case(lambda: layers.Conv3d(3, 3, 3, padding=1, groups=3),
                               lambda torch: torch.nn.Conv3d(3, 3, 3, padding=1, groups=3),
                               ((1, 3, 3, 4, 2),)),
    "conv transposed": Case(lambda: layers.ConvTranspose2d(3, 4, 3),
                            lambda torch: torch.nn.ConvTranspose2d(3, 4, 3), (MAPS,)),
    "conv transposed, window": Case(
        lambda: layers.ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, True, (1, 2)),
        lambda torch: torch.nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, True, (1, 2)),
        ((2, 4, 4, 3),)),
    "conv transposed, no bias": Case(
        lambda: layers.ConvTranspose2d(3, 2, 2, 2, bias=False),
        lambda torch: torch.nn.ConvTranspose2d(3, 2, 2, 2, bias=False), (MAPS,)),
    "conv transposed 1d": Case(lambda: layers.ConvTranspose1d(3, 2, 3, 2, 1, 1),
                               lambda torch: torch.nn.ConvTranspose1d(3, 2, 3, 2, 1, 1), (ROWS,)),
    "conv transposed 3d": Case(
        lambda: layers.ConvTranspose3d(4, 2, (3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 0, 0), 2),
        lambda torch: torch.nn.ConvTranspose3d(4, 2, (3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 0, 0), 2),
        ((2, 4, 3, 2, 3),)),
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
    "max pool 1d": Case(lambda: layers.MaxPool1d(3, 2, 1),
                        lambda torch: torch.nn.MaxPool1d(3, 2, 1), (ROWS,)),
    "avg pool 1d": Case(lambda: layers.AvgPool1d(3, 2, 1, True),
                        lambda torch: torch.nn.AvgPool1d(3, 2, 1, True), (ROWS,)),
    "max pool 3d": Case(
        lambda: layers.MaxPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0), ceil_mode=True),
        lambda torch: torch.nn.MaxPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0), ceil_mode=True),
        (VOLUMES,)),
    "avg pool 3d": Case(
        lambda: layers.AvgPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0), True, False),
        lambda torch: torch.nn.AvgPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0), True, False), (VOLUMES,)),
    "adaptive pool": Case(lambda: layers.AdaptiveAvgPool2d((4, 3)),
                          lambda torch: torch.nn.AdaptiveAvgPool2d((4, 3)), (MAPS,)),
    "adaptive pool, divides": Case(lambda: layers.AdaptiveAvgPool2d((3, None)),
                                   lambda torch: torch.nn.AdaptiveAvgPool2d((3, None)), (MAPS,)),
    "adaptive pool, one": Case(lambda: layers.AdaptiveAvgPool2d(1),
                               lambda torch: torch.nn.AdaptiveAvgPool2d(1), (MAPS,)),
    "adaptive pool, more": Case(lambda: layers.AdaptiveAvgPool2d((9, 7)),
                                lambda torch: torch.nn.AdaptiveAvgPool2d((9, 7)), (MAPS,)),
    "adaptive max pool": Case(lambda: layers.AdaptiveMaxPool2d((4, 3)),
                              lambda torch: torch.nn.AdaptiveMaxPool2d((4, 3)), (MAPS,)),
    "adaptive max pool, more": Case(lambda: layers.AdaptiveMaxPool2d((9, None)),
                                    lambda torch: torch.nn.AdaptiveMaxPool2d((9, None)), (MAPS,)),
    "adaptive max pool 1d": Case(lambda: layers.AdaptiveMaxPool1d(3),
                                 lambda torch: torch.nn.AdaptiveMaxPool1d(3), (ROWS,)),
    "adaptive max pool 3d": Case(lambda: layers.AdaptiveMaxPool3d((3, 2, 1)),
                                 lambda torch: torch.nn.AdaptiveMaxPool3d((3, 2, 1)), (VOLUMES,)),
    "adaptive pool 1d": Case(lambda: layers.AdaptiveAvgPool1d(3),
                             lambda torch: torch.nn.AdaptiveAvgPool1d(3), (ROWS,)),
    "adaptive pool 3d": Case(lambda: layers.AdaptiveAvgPool3d((3, 2, 1)),
                             lambda torch: torch.nn.AdaptiveAvgPool3d((3, 2, 1)), (VOLUMES,)),
    "global avg pool 1d": Case(lambda: layers.GlobalAvgPool1d(),
                               lambda torch: torch.nn.AdaptiveAvgPool1d(1), (ROWS,)),
    "global max pool 1d": Case(lambda: layers.GlobalMaxPool1d(),
                               lambda torch: torch.nn.AdaptiveMaxPool1d(1), (ROWS,)),
    "global avg pool 3d": Case(lambda: layers.GlobalAvgPool3d(),
                               lambda torch: torch.nn.AdaptiveAvgPool3d(1), (VOLUMES,)),
    "global max pool 3d": Case(lambda: layers.GlobalMaxPool3d(),
                               lambda torch: torch.nn.AdaptiveMaxPool3d(1), (VOLUMES,)),
    "zero pad": Case(lambda: layers.ZeroPad2d((1, 0, 2, 3)),
                     lambda torch: torch.nn.ZeroPad2d((1, 0, 2, 3)), (MAPS,)),
    "constant pad": Case(lambda: layers.ConstantPad2d(2, -1.5),
                         lambda torch: torch.nn.ConstantPad2d(2, -1.5), (MAPS,)),
    "reflection pad": Case(lambda: layers.ReflectionPad2d((4, 1, 0, 5)),
                           lambda torch: torch.nn.ReflectionPad2d((4, 1, 0, 5)), (MAPS,)),
    "replication pad": Case(lambda: layers.ReplicationPad2d((7, 1, 0, 2)),
                            lambda torch: torch.nn.ReplicationPad2d((7, 1, 0, 2)), (MAPS,)),
    "upsample": Case(lambda: layers.Upsample(scale_factor=(2, 1.5)),
                     lambda torch: torch.nn.Upsample(scale_factor=(2, 1.5)), (MAPS,)),
    "upsample to a size": Case(lambda: layers.Upsample((4, 13)),
                               lambda torch: torch.nn.Upsample((4, 13)), (MAPS,)),
    "upsample, bilinear": Case(
        lambda: layers.Upsample(scale_factor=2, mode="bilinear"),
        lambda torch: torch.nn.Upsample(scale_factor=2, mode="bilinear"), (MAPS,)),
    "upsample, bilinear, corners": Case(
        lambda: layers.Upsample((11, 4), mode="bilinear", align_corners=True),
        lambda torch: torch.nn.Upsample((11, 4), mode="bilinear", align_corners=True), (MAPS,)),
    "upsample, linear": Case(lambda: layers.Upsample(10, mode="linear"),
                             lambda torch: torch.nn.Upsample(10, mode="linear"), (ROWS,)),
    "layer norm": Case(lambda: layers.LayerNorm(5), lambda torch: torch.nn.LayerNorm(5), ((4, 5),)),
    "layer norm, maps": Case(lambda: layers.LayerNorm((6, 5), 1e-3),
                             lambda torch: torch.nn.LayerNorm((6, 5), 1e-3), (MAPS,)),
    "layer norm, no bias": Case(lambda: layers.LayerNorm(5, bias=False),
                                lambda torch: torch.nn.LayerNorm(5, bias=False), ((4, 5),)),
    "layer norm, not affine": Case(
        lambda: layers.LayerNorm(5, elementwise_affine=False),
        lambda torch: torch.nn.LayerNorm(5, elementwise_affine=False), ((4, 5),)),
    "group norm": Case(lambda: layers.GroupNorm(2, 4), lambda torch: torch.nn.GroupNorm(2, 4),
                       ((2, 4, 3, 5),)),
    "group norm, features": Case(lambda: layers.GroupNorm(2, 6, affine=False),
                                 lambda torch: torch.nn.GroupNorm(2, 6, affine=False), ((3, 6),)),
    "instance norm 1d": Case(lambda: layers.InstanceNorm1d(3, affine=True),
                             lambda torch: torch.nn.InstanceNorm1d(3, affine=True), (ROWS,)),
    "instance norm 2d": Case(lambda: layers.InstanceNorm2d(3),
                             lambda torch: torch.nn.InstanceNorm2d(3), (MAPS,)),
    "instance norm 3d": Case(lambda: layers.InstanceNorm3d(3, 1e-3, 0.3, True, True),
                             lambda torch: torch.nn.InstanceNorm3d(3, 1e-3, 0.3, True, True),
                             (VOLUMES,)),
    "instance norm 3d, eval": Case(lambda: layers.InstanceNorm3d(3, 1e-3, 0.3, True, True),
                                   lambda torch: torch.nn.InstanceNorm3d(3, 1e-3, 0.3, True, True),
                                   (VOLUMES,), training=False),
    "local response norm": Case(lambda: layers.LocalResponseNorm(3, 0.5),
                                lambda torch: torch.nn.LocalResponseNorm(3, 0.5), (MAPS,)),
    "local response norm, even": Case(
        lambda: layers.LocalResponseNorm(4, 0.3, 0.6, 2.0),
        lambda torch: torch.nn.LocalResponseNorm(4, 0.3, 0.6, 2.0), ((2, 7, 3, 2),)),
    "batch norm 3d": Case(lambda: layers.BatchNorm3d(3),
                          lambda torch: torch.nn.BatchNorm3d(3), (VOLUMES,)),
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
    "stochastic depth": Case(lambda: layers.StochasticDepth(0.4), None, ((6, 3),)),
    "stochastic depth, batch": Case(lambda: layers.StochasticDepth(0.4, "batch"), None, (MAPS,)),
    "stochastic depth, eval": Case(lambda: layers.StochasticDepth(0.4),
                                   lambda torch: torch.nn.Identity(), (MAPS,), training=False),
    "drop path": Case(lambda: layers.DropPath(0.4, "row"), None, ((6, 3),) * 3),
    "drop path, eval": Case(lambda: layers.DropPath(0.4), lambda torch: lambda a, b: (a + b) / 2,
                            (MAPS,) * 2, training=False),
    "swapout": Case(lambda: layers.Swapout(0.3, 0.6), None, ((6, 3),) * 2),
    "swapout, eval": Case(lambda: layers.Swapout(0.3, 0.6),
                          lambda torch: lambda a, b: 0.7 * a + 0.4 * b, (MAPS,) * 2,
                          training=False),
    "shake-shake, eval": Case(lambda: layers.ShakeShake(),
                              lambda torch: lambda a, b: (a + b) / 2, (MAPS,) * 2, training=False),
    "shake drop, eval": Case(lambda: layers.ShakeDrop(0.3, alpha=(-1, 2)),
                             lambda torch: lambda x: x * 0.85, (MAPS,), training=False),
    "activity regularization": Case(       # a penalty of 0; others are tested on their own
        lambda: layers.ActivityRegularization(), lambda torch: torch.nn.Identity(), ((3, 4),)),
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
