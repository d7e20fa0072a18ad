"""Penalties on activities: nothing forward, their gradients added backward."""

from __future__ import annotations

import numpy as np

from ...layers.regularization import ActivityRegularization
from ..value import Value
from .rule import Rule, lowers


@lowers(ActivityRegularization)
class ActivityRegularizationRule(Rule):
    """Its output is its input."""

    def forward(self) -> Value:
        return self.sources[0]

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        dx = plan.new(x.shape, like=x)
        plan.run("activity_regularization", self.add_gradient,
                 x, plan.laid_out(dy, x.channels_last), dx)
        plan.give(source, dx)

    def add_gradient(self, x: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
        """The layer's backward pass, into dx."""
        (dx[...],), _ = self.layer.grad(dy, x)
