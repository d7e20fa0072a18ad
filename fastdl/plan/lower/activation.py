"""Activations that stand alone: elementwise, in whatever order their input lies."""

from __future__ import annotations

from typing import Any

from ...layers.activation import (
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Tanh,
)
from ...layers.layer import Layer
from ..value import Value
from .rule import Rule, lowers

# For each layer: its kernel, whether the way back reads the output (or the input), the options
# (GELU's is in the kernel's name).
_KERNELS: dict[type[Layer], tuple[str, bool, Any]] = {
    ReLU: ("relu", True, lambda layer: ()),
    ReLU6: ("relu6", True, lambda layer: ()),
    LeakyReLU: ("leaky_relu", False, lambda layer: (float(layer.negative_slope),)),
    Sigmoid: ("sigmoid", True, lambda layer: ()),
    Tanh: ("tanh", True, lambda layer: ()),
    SiLU: ("silu", False, lambda layer: ()),
    Hardsigmoid: ("hardsigmoid", True, lambda layer: ()),
    Hardswish: ("hardswish", False, lambda layer: ()),
    GELU: ("gelu", False, lambda layer: ()),
}


@lowers(*_KERNELS)
class ActivationRule(Rule):
    """Elementwise."""

    def forward(self) -> Value:
        plan, x, layer = self.plan, self.sources[0], self.layer
        self.kernel, from_output, options = _KERNELS[type(layer)]
        self.options = options(layer)
        if type(layer) is GELU and layer.approximate == "tanh":
            self.kernel = "gelu_tanh"
        y = plan.new(x.shape, like=x)
        plan.call(self.kernel, x.flat(), y.flat(), *self.options)
        self.saved = y if from_output else x
        return y

    @property
    def ends_in_relu(self) -> bool:
        return type(self.layer) is ReLU

    def backward(self, dy: Value) -> None:
        plan, (source,) = self.plan, self.head.inputs
        if self.ends_in_relu:
            plan.give(source, plan.through_relu(self, self.saved, dy))
            return
        dy = plan.laid_out(dy, self.saved.channels_last)
        dx = plan.new(dy.shape, like=dy)
        plan.call(f"{self.kernel}_backward", dy.flat(), self.saved.flat(), dx.flat(),
                  *self.options)
        plan.give(source, dx)
