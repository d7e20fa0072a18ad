"""Stochastic depth: in training fresh factors at each run, one for each sample."""

from __future__ import annotations

import math

import numpy as np

from ...layers.stochastic import StochasticDepth
from ..value import Value
from .rule import Rule, lowers


@lowers(StochasticDepth)
class StochasticDepthRule(Rule):
    """Nothing at all in inference."""

    @property
    def is_view(self) -> bool:
        return not self.active

    def forward(self) -> Value:
        plan, layer, x = self.plan, self.layer, self.sources[0]
        self.active = plan.training and layer.training and layer.p > 0
        if not self.active:
            return x
        self.factors = plan.new((1, x.shape[0]))
        plan.run("draw factors", _draw, layer, self.factors)
        return self.scaled(x)

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        if self.active:
            dy = self.scaled(plan.laid_out(dy, x.channels_last))
        plan.give(source, dy)

    def scaled(self, x: Value) -> Value:
        """Each sample, in whatever order its elements lie, by its factor."""
        y = self.plan.new(x.shape, like=x)
        samples = (1, x.shape[0], math.prod(x.shape[1:]))
        self.plan.call("scale_maps", x.flat().reshaped(*samples), self.factors,
                       y.flat().reshaped(*samples))
        return y


def _draw(layer: StochasticDepth, factors: np.ndarray) -> None:
    factors[0] = layer.factors(factors.size, factors.dtype)
