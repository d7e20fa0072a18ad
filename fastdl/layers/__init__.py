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
from .conv import Conv2d
from .dropout import Dropout
from .join import Add, Concat, Mean, Multiply, add, concat, mean, multiply
from .layer import Layer
from .linear import Linear
from .norm import BatchNorm1d, BatchNorm2d
from .pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from .shape import Flatten, flatten

__all__ = [
    "GELU", "AdaptiveAvgPool2d", "Add", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Concat",
    "Conv2d", "Dropout",
    "Flatten", "GlobalAvgPool2d", "GlobalMaxPool2d", "Hardsigmoid", "Hardswish", "Layer",
    "LeakyReLU", "Linear", "MaxPool2d", "Mean", "Multiply", "ReLU", "ReLU6", "SiLU", "Sigmoid",
    "Softmax", "Tanh", "add", "concat", "flatten", "gelu", "hardsigmoid", "hardswish",
    "leaky_relu", "mean", "multiply", "relu", "relu6", "sigmoid", "silu", "softmax", "tanh",
]
