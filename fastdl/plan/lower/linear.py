"""The dense layer, with a ReLU behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...layers.activation import ReLU
from ...layers.layer import Layer
from ...layers.linear import Linear
from ...ops.gemm import check_linear
from ..value import Value
from .rule import Rule, fusions, lowers

if TYPE_CHECKING:
    from ..planner import Planner


@lowers(Linear)
class LinearRule(Rule):
    """One matrix product for each pass."""

    @classmethod
    def followers(cls, plan: Planner, layer: Layer) -> Iterable[type[Layer]]:
        return (ReLU,)

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        x = plan.laid_out(self.sources[0], False)
        self.weight = plan.parameter(layer, "weight")
        check_linear("linear", x, self.weight)
        OC, C = self.weight.shape
        self.rows = math.prod(x.shape[:-1])
        self.x = x.reshaped(self.rows, C)
        self.flops = layer.flops((self.rows, C), (self.rows, OC))
        b = plan.parameter(layer, "bias") if "bias" in layer.params else None
        self.y = plan.new((*x.shape[:-1], OC))
        plan.call("gemm", self.x, self.weight, b, None, self.y.reshaped(self.rows, OC), False, True,
                  1.0, 0.0, self.fused(ReLU) is not None, flops=self.flops,
                  notes=self.notes(b))
        return self.y

    def backward(self, dy: Value) -> None:
        plan, layer, (source,) = self.plan, self.layer, self.head.inputs
        dy = plan.through_relu(self, self.y, dy).reshaped(self.rows, self.weight.shape[0])
        plan.call("gemm", dy, self.x, None, None, plan.gradient(layer, "weight"), True, False,
                  1.0, 0.0, False, flops=self.flops)
        if "bias" in layer.params:
            plan.call("column_sums", dy, plan.gradient(layer, "bias"))
        if plan.needs(source):
            dx = plan.new(self.sources[0].shape)
            gate = None if plan.has_gradient(source) or not plan.closes(source) else self.x
            plan.call("gemm", dy, self.weight, None, gate, dx.reshaped(*self.x.shape), False,
                      False, 1.0, 0.0, False, flops=self.flops, notes=fusions(ReLU=gate))
            plan.give(source, dx)
