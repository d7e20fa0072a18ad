"""Convolution, with a residual, a ReLU and a max-pool behind it; in inference also with batch norm,
folded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...layers.activation import ReLU
from ...layers.conv import Conv2d
from ...layers.join import Add
from ...layers.layer import Layer
from ...layers.norm import BatchNorm2d
from ...layers.pool import MaxPool2d
from ...ops.conv import checked, conv_algorithm, conv_kernel, conv_method
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

    @classmethod
    def followers(cls, plan: Planner, layer: Layer) -> Iterable[type[Layer]]:
        return (*([] if plan.training else [BatchNorm2d]), Add, ReLU, MaxPool2d)

    @classmethod
    def fuses(cls, following: Layer) -> bool:
        return type(following) is not BatchNorm2d or "running_mean" in following.buffers

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        self.x = plan.inner(self.sources[0])
        self.weight = plan.parameter(layer, "weight")
        self.window, shape = checked("conv2d", self.x, self.weight, layer.stride, layer.padding,
                                     layer.dilation, layer.groups)
        self.algorithm = conv_algorithm("conv2d", None, self.x, self.weight, self.window)
        self.flops = 2.0 * np.prod(shape) * np.prod(self.weight.shape[1:])
        w, b = self.weight, None
        if "bias" in layer.params:
            b = plan.parameter(layer, "bias")
        if (norm := self.fused(BatchNorm2d)) is not None:
            w, b = self.folded(norm, b)
        y = self.y = plan.new_maps(shape, self.x)
        residual = self.residual_like(y)
        relu = self.fused(ReLU) is not None
        pool = self.fused(MaxPool2d)
        self.pooling = None if pool is None else MaxPooling(plan, pool.layer, y)
        self.one_kernel = None if self.pooling is None else self.find_one_kernel(self.pooling)
        if self.pooling and self.one_kernel:
            plan.run("conv2d_max_pool2d", self.one_kernel, self.x, w, b, self.pooling.y,
                     self.pooling.argmax, *self.window[:3], relu, self.algorithm,
                     flops=self.flops, notes=self.method("conv2d", self.notes(b)))
            return self.pooling.y
        plan.run("conv2d", conv_kernel("conv2d", plan.like, self.algorithm, None), self.x, w, b,
                 residual, y, *self.window, relu, self.algorithm, flops=self.flops,
                 notes=self.method("conv2d", self.notes(b)))
        return self.pooling.forward() if self.pooling else y

    def find_one_kernel(self, pooling: MaxPooling) -> Callable[..., Any] | None:
        """A kernel that does the pool, too, and whose backward passes take the pool's gradient."""
        C, (KH, KW), y = self.x.shape[1], self.weight.shape[2:], self.y
        fits = (pooling.window == ((2, 2), (2, 2), (0, 0)) and y.channels_last and KH * KW > 1
                and self.window.groups == 1 and self.residual is None
                and self.algorithm != "im2col" and y.nbytes <= y.shape[0] * BETWEEN
                and (C > 4 or not self.plan.needs(self.head.inputs[0])))
        module = conv_kernel("conv2d", self.plan.like, "auto", None).__module__
        return getattr(sys.modules[module], "conv2d_max_pool2d", None) if fits else None

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
            dx, others = plan.new(self.x.shape, like=self.x), plan.take_gradient(source, self.x)
            gate = self.x if plan.closes(source) else None
            kernel = conv_kernel("conv2d_backward_input", plan.like, self.algorithm, None)
            plan.run("conv2d_backward_input", kernel, dy, self.weight, others, gate, dx,
                     *self.window, self.algorithm, *pooled, flops=self.flops,
                     notes=self.method("conv2d_backward_input", fusions(sum=others, ReLU=gate)))
            plan.give(source, dx)

    def method(self, kernel: str, fused: str = "") -> str:
        """How the kernel computes, and what is fused into it."""
        words = conv_method(kernel, self.x, self.weight, self.y, self.window, self.algorithm,
                            self.y.channels_last)
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
