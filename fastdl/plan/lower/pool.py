"""Pooling over windows and over whole feature maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...layers.pool import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    MaxPool2d,
)
from ...ops.pool import argmax_dtype, checked_window, expect_cells
from ...ops.resize import adaptive_size, plain_window, stretches, through, transposed
from ..value import Value
from .rule import Rule, fusions, lowers

if TYPE_CHECKING:
    from ..planner import Planner


class MaxPooling:
    """The two passes over x. Keeps the place of each maximum, in a byte, for the way back."""

    def __init__(self, plan: Planner, layer: MaxPool2d, x: Value) -> None:
        expect_cells("max_pool2d", "x", x.shape)
        self.plan, self.x = plan, x
        self.window, output = checked_window("max_pool2d", x.shape[2:], *layer.window)
        self.y = plan.new((*x.shape[:2], *output), like=x)
        self.argmax = None
        if plan.training:
            cells = math.prod(self.window[0])
            self.argmax = plan.new(self.y.shape, like=x, dtype=argmax_dtype(cells))

    def forward(self) -> Value:
        """Add the step; returns the output."""
        self.plan.call("max_pool2d", self.x, self.y, self.argmax, *self.window)
        return self.y

    def backward(self, dy: Value, gate: Value | None) -> Value:
        """Add the step; returns the gradient of x."""
        dy, dx = self.plan.laid_out(dy, self.x.channels_last), self.plan.new(self.x.shape, self.x)
        self.plan.call("max_pool2d_backward", dy, self.argmax, gate, dx, *self.window,
                       notes=fusions(ReLU=gate))
        return dx


@lowers(MaxPool2d)
class MaxPoolRule(Rule):
    """Where no convolution before it takes it over."""

    def forward(self) -> Value:
        self.pooling = MaxPooling(self.plan, self.layer, self.sources[0])
        return self.pooling.forward()

    def backward(self, dy: Value) -> None:
        plan, (source,) = self.plan, self.head.inputs
        gated = not plan.has_gradient(source) and plan.closes(source)
        plan.give(source, self.pooling.backward(dy, self.pooling.y if gated else None))


@lowers(AvgPool2d)
class AvgPoolRule(Rule):
    """Keeps nothing."""

    def forward(self) -> Value:
        plan, x, layer = self.plan, self.sources[0], self.layer
        expect_cells("avg_pool2d", "x", x.shape)
        self.window, output = checked_window("avg_pool2d", x.shape[2:], *layer.window)
        y = plan.new((*x.shape[:2], *output), like=x)
        plan.call("avg_pool2d", x, y, *self.window, layer.count_include_pad)
        return y

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        dy = plan.laid_out(dy, x.channels_last)
        dx = plan.new(x.shape, like=x)
        plan.call("avg_pool2d_backward", dy, dx, *self.window, self.layer.count_include_pad)
        plan.give(source, dx)


@lowers(GlobalAvgPool2d, GlobalMaxPool2d)
class GlobalPoolRule(Rule):
    """Over whole maps; the largest one's place is kept."""

    def forward(self) -> Value:
        plan, x = self.plan, self.sources[0]
        expect_cells(self.name, "x", x.shape)
        y = plan.new((*x.shape[:2], 1, 1), like=x)
        self.argmax = []
        if self.name == "global_max_pool2d":
            self.argmax = [plan.new(y.shape, like=x, dtype="int32") if plan.training else None]
        plan.call(self.name, x, y, *self.argmax)
        return y

    @property
    def name(self) -> str:
        """Of the kernel."""
        is_max = isinstance(self.layer, GlobalMaxPool2d)
        return "global_max_pool2d" if is_max else "global_avg_pool2d"

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        dy = plan.laid_out(dy, x.channels_last)
        dx = plan.new(x.shape, like=x)
        plan.call(f"{self.name}_backward", dy, *self.argmax, dx)
        plan.give(source, dx)


@lowers(AdaptiveAvgPool2d)
class AdaptiveAvgPoolRule(Rule):
    """Nothing at all where maps have that size; global or ordinary pooling where it does the same.

    Elsewhere products with matrices.
    """

    @property
    def is_view(self) -> bool:
        return self.same

    def forward(self) -> Value:
        plan, x = self.plan, self.sources[0]
        expect_cells("adaptive_avg_pool", "x", x.shape)
        sizes = adaptive_size("adaptive_avg_pool", x, self.layer.output_size)
        self.same = sizes == x.shape[2:]
        if self.same:
            return x
        y = plan.new((*x.shape[:2], *sizes), like=x)
        window = plain_window(x.shape[2:], sizes)
        self.kernel: str = ""
        self.options: tuple[Any, ...] = ()
        if sizes == (1, 1):
            self.kernel = "global_avg_pool2d"
        elif window is not None:
            self.kernel, self.options = "avg_pool2d", (window, window, (0, 0), True)
        if self.kernel:
            plan.call(self.kernel, x, y, *self.options)
        else:
            self.matrices = stretches(x.shape[2:], sizes)
            plan.run("resize", through, x, tuple(self.matrices), y)
        return y

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        if self.same:
            plan.give(source, dy)
            return
        dy = plan.laid_out(dy, x.channels_last)
        dx = plan.new(x.shape, like=x)
        if self.kernel:
            plan.call(f"{self.kernel}_backward", dy, dx, *self.options)
        else:
            plan.run("resize", through, dy, tuple(transposed(self.matrices)), dx)
        plan.give(source, dx)
