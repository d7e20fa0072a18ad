"""Convolution, with a residual, a ReLU and a max-pool behind it.

In inference a batch norm is folded into the filters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import numpy as np

from ...layers.activation import ReLU
from ...layers.conv import Conv2d
from ...layers.join import Add
from ...layers.layer import Layer
from ...layers.norm import BatchNorm2d
from ...layers.pool import MaxPool2d
from ...ops.conv import checked, conv_algorithm, conv_kernel, conv_method
from ...ops.pad import Sides, checked_sides, fold_into, pad_into, padded_shape
from ..value import Value
from .pool import MaxPooling
from .rule import Rule, fusions, lowers

if TYPE_CHECKING:
    from ...graph import Node
    from ..planner import Planner

BETWEEN = 1 << 18       # bytes of an image between convolution and pool, for them to be one kernel


@lowers(Conv2d)
class ConvRule(Rule):
    """One kernel for each pass. The gradient of the first layer's input is left out."""

    sides: Sides | None

    @classmethod
    def followers(cls, plan: Planner, layer: Layer) -> Iterable[type[Layer]]:
        # Filters are folded by NumPy, so on the device batch norm stays what it is.
        folds = not plan.training and not plan.on_device
        return (*([BatchNorm2d] if folds else []), Add, ReLU, MaxPool2d)

    @classmethod
    def fuses(cls, following: Layer) -> bool:
        return type(following) is not BatchNorm2d or "running_mean" in following.buffers

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        self.x = self.surrounded(plan.inner(self.sources[0]))
        self.weight = plan.parameter(layer, "weight")
        self.window, shape = checked("conv2d", self.x, self.weight, *layer.window)
        self.algorithm = conv_algorithm("conv2d", None, self.x, self.weight, self.window)
        self.flops = layer.flops(self.x.shape, shape)
        w, b = self.weight, None
        if "bias" in layer.params:
            b = plan.parameter(layer, "bias")
        if (norm := self.fused(BatchNorm2d)) is not None:
            w, b = self.folded(norm, b)
        y = self.y = plan.new_maps(shape, self.x)
        residual = self.residual_like(y)
        relu = self.fused(ReLU) is not None
        self.pooling = moments = None
        self.one_kernel = False
        if (pool := self.fused(MaxPool2d)) is not None:
            self.pooling = MaxPooling(plan, cast(MaxPool2d, pool.layer), y)
            self.one_kernel = self.pools_on_the_way(self.pooling)
        # Of several groups, or by im2col, they would be taken in a pass of their own.
        elif y.channels_last and layer.groups == 1 and self.algorithm != "im2col":
            moments = plan.add_moments(self.tail, y.shape[1])
        if self.pooling and self.one_kernel:
            plan.call("conv2d_max_pool2d", self.x, w, b, self.pooling.y, self.pooling.argmax,
                      *self.window[:3], relu, self.algorithm, flops=self.flops,
                      notes=self.method("conv2d", self.notes(b)))
            return self.pooling.y
        plan.run("conv2d", conv_kernel("conv2d", plan.like, self.algorithm, None), self.x, w, b,
                 residual, y, *self.window, relu, self.algorithm, moments, flops=self.flops,
                 notes=self.method("conv2d", self.notes(b, moments)))
        return self.pooling.forward() if self.pooling else y

    def pools_on_the_way(self, pooling: MaxPooling) -> bool:
        """Whether one kernel does the pool, too; then the gradients are made from the pool's.

        That is quicker where an image's maps stay in a cache, which channels-last they can.
        """
        C, (KH, KW), y = self.x.shape[1], self.weight.shape[2:], self.y
        return (pooling.window == ((2, 2), (2, 2), (0, 0)) and y.channels_last and KH * KW > 1
                and self.window.groups == 1 and self.residual is None
                and self.algorithm != "im2col" and y.nbytes <= y.shape[0] * BETWEEN
                and (C > 4 or not self.plan.needs(self.head.inputs[0])))

    def backward(self, dy: Value) -> None:
        plan, layer, (source,) = self.plan, self.layer, self.head.inputs
        pooled: tuple[Value | None, ...] = ()
        if self.pooling is None:
            dy = plan.through_relu(self, self.y, dy)
        else:               # what the ReLU kept back, the pool's output shows, too
            dy = plan.through_relu(self, self.pooling.y, dy)
            if self.one_kernel:
                pooled = (self.pooling.argmax,)
            else:
                dy = self.pooling.backward(dy, None)
        if (other := self.residual) is not None and plan.needs(other):
            plan.give(other, dy)
        if layer.params:
            dw = plan.gradient(layer, "weight")
            db = plan.gradient(layer, "bias") if "bias" in layer.params else None
            kernel = conv_kernel("conv2d_backward_weight", plan.like, self.algorithm, None)
            plan.run("conv2d_backward_weight", kernel, dy, self.x, dw, db, *self.window,
                     self.algorithm, *pooled, flops=self.flops,
                     notes=self.method("conv2d_backward_weight"))
        if plan.needs(source):
            dx, others, gate = plan.new(self.x.shape, like=self.x), None, None
            if self.sides is None:
                others = plan.take_gradient(source, self.x)
                gate = self.x if plan.closes(source) else None
            kernel = conv_kernel("conv2d_backward_input", plan.like, self.algorithm, None)
            plan.run("conv2d_backward_input", kernel, dy, self.weight, others, gate, dx,
                     *self.window, self.algorithm, *pooled, flops=self.flops,
                     notes=self.method("conv2d_backward_input", fusions(sum=others, ReLU=gate)))
            if self.sides is not None:
                whole, dx = dx, plan.new(plan.value_of(source).shape, like=dx)
                plan.run("fold padding", fold_into, whole, dx, self.sides, layer.padding_mode)
            plan.give(source, dx)

    def surrounded(self, x: Value) -> Value:
        """The input with its padding, where that is no zeros; `sides` says how much."""
        plan, layer, self.sides = self.plan, self.layer, None
        if layer.around is None:
            return x
        self.sides = checked_sides("conv2d", x, layer.around, layer.padding_mode)
        y = plan.new(padded_shape(x.shape, self.sides), like=x)
        plan.run("pad", pad_into, x, y, self.sides, layer.padding_mode, 0.0)
        return y

    def method(self, kernel: str, fused: str = "") -> str:
        """How the kernel computes, and what is fused into it."""
        words = "" if self.plan.on_device else conv_method(
            kernel, self.x, self.weight, self.y, self.window, self.algorithm, self.y.channels_last)
        return ", ".join(filter(None, [words, fused]))

    def folded(self, node: Node, b: Value | None) -> tuple[Value, Value]:
        """Filters and bias that do what the batch norm behind them does; made at each run."""
        plan, norm = self.plan, cast(BatchNorm2d, node.layer)
        w = plan.new(self.weight.shape)
        running = [plan.parameter(norm, name) for name in ("running_mean", "running_var")]
        affine = [plan.parameter(norm, name) for name in norm.params]
        scale, shift = plan.new(w.shape[:1]), plan.new(w.shape[:1])
        plan.run("fold", _fold, self.weight, b, *running, norm.eps, affine, w, scale, shift)
        return w, shift


def _fold(w, b, mean, var, eps, affine, folded, scale, shift):
    np.add(var, eps, out=scale)
    np.sqrt(scale, out=scale)
    np.divide(affine[0] if affine else 1, scale, out=scale)
    np.multiply(w, scale[:, None, None, None], out=folded)
    np.multiply(mean, scale, out=shift)
    np.subtract(affine[1] if affine else 0, shift, out=shift)
    if b is not None:
        shift += b * scale
