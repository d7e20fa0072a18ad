"""Layers that change shapes only: views, where the elements lie in the right order."""

from __future__ import annotations

import math

from ...errors import ShapeError
from ...layers.shape import Flatten
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
