"""Layers that no rule knows, such as a user's own: their two functions, called as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import GraphError
from ..value import Value
from .rule import NotPlannableError, Rule


class AnyLayer(Rule):
    """Calls `apply` and `grad`, and copies what they return into the plan."""

    saved: Any = None

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        self.xs = [plan.laid_out(x, False) for x in self.sources]
        shape, dtype = plan.seen[self.head.index]
        if dtype != plan.dtype:
            raise NotPlannableError(f"{layer!r} gives {dtype}, the network is {plan.dtype}")
        y = plan.new(shape)
        plan.run("apply", self.apply, self.xs, y)
        return y

    def backward(self, dy: Value) -> None:
        plan, layer = self.plan, self.layer
        dy = plan.laid_out(dy, False)
        grads = [plan.gradient(layer, name) for name in layer.params]
        dxs = [plan.new(x.shape) if plan.needs(source) else None
               for source, x in zip(self.head.inputs, self.xs, strict=True)]
        plan.run("grad", self.grad, dy, dxs, grads)
        for source, dx in zip(self.head.inputs, dxs, strict=True):
            if dx is not None:
                plan.give(source, dx)

    def apply(self, xs: list[np.ndarray], y: np.ndarray) -> None:
        """The layer's forward pass."""
        layer = self.layer
        training = self.plan.training and layer.training
        # Copies: the layer may keep them, and the arena goes on to hold something else.
        result, self.saved = layer.apply(tuple(x.copy() for x in xs), layer.params, training)
        if np.shape(result) != y.shape:
            raise GraphError(f"{layer!r}.apply: gave {y.shape} before and {np.shape(result)} now, "
                             f"for inputs of the same shape")
        y[...] = result

    def grad(self, dy: np.ndarray, dxs: list[np.ndarray | None],
             grads: list[np.ndarray]) -> None:
        """The layer's backward pass."""
        layer, dy = self.layer, dy.copy()
        if any(dx is not None for dx in dxs):
            new_dxs, named = layer.grad(dy, self.saved)
            for dx, new in zip(dxs, new_dxs, strict=True):
                if dx is not None:
                    dx[...] = new
        else:
            named = layer.param_grads(dy, self.saved)
        named = layer.check_grads(named)
        for target, name in zip(grads, layer.params, strict=True):
            target[...] = named[name]
        self.saved = None
