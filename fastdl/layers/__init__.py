"""Layers: each one a documented pair of functions, one file per family."""

from .activation import (
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .dropout import Dropout
from .join import Add, Concat, Mean, Multiply, add, concat, mean, multiply
from .layer import Layer
from .linear import Linear
from .norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
)
from .pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from .regularization import ActivityRegularization
from .shape import (
    ConstantPad2d,
    Flatten,
    ReflectionPad2d,
    ReplicationPad2d,
    Upsample,
    ZeroPad2d,
    flatten,
)
from .stochastic import DropPath, ShakeDrop, ShakeShake, StochasticDepth, Swapout

__all__ = [
    "GELU", "ActivityRegularization", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "Add",
    "AvgPool1d", "AvgPool2d", "AvgPool3d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Concat",
    "ConstantPad2d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
    "ConvTranspose3d", "DropPath", "Dropout", "Flatten", "GlobalAvgPool1d", "GlobalAvgPool2d",
    "GlobalAvgPool3d", "GlobalMaxPool1d", "GlobalMaxPool2d", "GlobalMaxPool3d", "GroupNorm",
    "Hardsigmoid", "Hardswish", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "Layer",
    "LayerNorm", "LeakyReLU", "Linear", "LocalResponseNorm", "MaxPool1d", "MaxPool2d", "MaxPool3d",
    "Mean", "Multiply", "ReLU", "ReLU6", "ReflectionPad2d", "ReplicationPad2d", "ShakeDrop",
    "ShakeShake", "SiLU", "Sigmoid", "Softmax", "StochasticDepth", "Swapout", "Tanh", "Upsample",
    "ZeroPad2d", "add", "concat", "flatten", "gelu", "hardsigmoid", "hardswish", "leaky_relu",
    "mean", "multiply", "relu", "relu6", "sigmoid", "silu", "softmax", "tanh",
]
