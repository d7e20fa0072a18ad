"""Layers that change sizes: views, where the elements lie in the right order, and padding."""

from __future__ import annotations

import math

from ...errors import ShapeError
from ...layers.shape import (
    ConstantPad2d,
    Flatten,
    ReflectionPad2d,
    ReplicationPad2d,
    ZeroPad2d,
)
from ...ops.pad import checked_sides, fold_into, pad_into, padded_shape
from ..value import Value
from .rule import Rule, lowers


@lowers(Flatten)
class FlattenRule(Rule):
    """A view of planes; channels-last maps are brought into planes first."""

    @property
    def is_view(self) -> bool:
        return True

    def forward(self) -> Value:
        (x,) = self.sources
        if x.ndim < 1:
            raise ShapeError("Flatten: x has no batch dimension")
        return self.plan.laid_out(x, False).reshaped(x.shape[0], math.prod(x.shape[1:]))

    def backward(self, dy: Value) -> None:
        (source,), (x,) = self.head.inputs, self.sources
        self.plan.give(source, dy.reshaped(*x.shape))


@lowers(ZeroPad2d, ConstantPad2d, ReflectionPad2d, ReplicationPad2d)
class PadRule(Rule):
    """A copy into something larger."""

    def forward(self) -> Value:
        plan, layer, (x,) = self.plan, self.layer, self.sources
        self.sides = checked_sides(type(layer).__name__, x, layer.padding, layer.mode)
        y = plan.new(padded_shape(x.shape, self.sides), like=x)
        plan.run("pad", pad_into, x, y, self.sides, layer.mode, layer.value)
        return y

    def backward(self, dy: Value) -> None:
        plan, (source,), (x,) = self.plan, self.head.inputs, self.sources
        dx = plan.new(x.shape, like=x)
        plan.run("fold padding", fold_into, dy, dx, self.sides, self.layer.mode)
        plan.give(source, dx)
