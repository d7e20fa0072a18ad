"""Batch normalisation, with a residual and a ReLU or ReLU6 behind it; the other normalisations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ShapeError
from ...layers.activation import ReLU, ReLU6
from ...layers.join import Add
from ...layers.layer import Layer
from ...layers.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
)
from ...ops.batchnorm import relu_cap
from ...ops.groupnorm import features_of, groups_of
from ..value import Value
from .rule import Rule, fusions, lowers

if TYPE_CHECKING:
    from ..planner import Planner


@lowers(BatchNorm1d, BatchNorm2d, BatchNorm3d)
class BatchNormRule(Rule):
    """One kernel for each pass; the residual's gradient comes with that of x."""

    @classmethod
    def followers(cls, plan: Planner, layer: Layer) -> Iterable[type[Layer]]:
        return Add, ReLU, ReLU6         # of a ReLU and a ReLU6 the second does both

    @property
    def ends_in_relu(self) -> bool:
        return False                    # its own kernel does the backward pass of both

    @property
    def use_batch(self) -> bool:
        """Whether it normalises by the batch's statistics, not by the running ones."""
        layer = self.layer
        return (self.plan.training and layer.training) or "running_mean" not in layer.buffers

    @property
    def wants_moments(self) -> bool:
        return self.use_batch

    @property
    def cap(self) -> float | None:
        """Of the ReLU behind it."""
        return relu_cap(self.fused(ReLU) is not None, self.fused(ReLU6) is not None)

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        x = self.x = self.sources[0]
        layer.check_shape(x.shape)
        C = layer.num_features
        running = [plan.parameter(layer, name) if name in layer.buffers else None
                   for name in ("running_mean", "running_var")]
        if self.use_batch and x.size // C < 2:
            raise ShapeError(f"{type(layer).__name__}: training needs more than one value in a "
                             f"channel, x is {x.shape}")
        if layer.params:
            self.weight, bias = (plan.parameter(layer, name) for name in ("weight", "bias"))
        else:
            self.weight = plan.constant(np.ones(C, plan.dtype))
            bias = plan.constant(np.zeros(C, plan.dtype))
        y = plan.new(x.shape, like=x)
        residual = self.residual_like(y)
        maps = [None if v is None else _by_channel(v) for v in (x, residual, y)]
        self.mean = plan.new((C,)) if self.use_batch else running[0]
        self.rstd = plan.new((C,))
        if self.use_batch:
            moments = plan.moments_of(self.head.inputs[0])
            plan.call("batch_norm", maps[0], self.weight, bias, maps[1], *running, maps[2],
                      self.mean, self.rstd, layer.momentum, layer.eps, self.cap, moments,
                      notes=self.notes())
            if "num_batches_tracked" in layer.buffers:
                plan.run_together("count", _count, plan.parameter(layer, "num_batches_tracked"))
        else:
            plan.call("batch_norm_inference", maps[0], self.weight, bias, *running, maps[1],
                      maps[2], layer.eps, self.cap, notes=self.notes())
            if plan.training:
                plan.run("reciprocal", _reciprocal, running[1], layer.eps, self.rstd)
        self.y = y
        return y

    def backward(self, dy: Value) -> None:
        plan, layer, x = self.plan, self.layer, self.x
        (source,), other = self.head.inputs, self.residual
        if layer.params:
            dw, db = (plan.gradient(layer, name) for name in ("weight", "bias"))
        else:
            dw, db = plan.new(self.weight.shape), plan.new(self.weight.shape)
        dx, dresidual = plan.new(x.shape, like=x), None
        y = None if self.cap is None else self.y
        dy = plan.laid_out(dy, x.channels_last)
        if other is not None and plan.needs(other):
            dresidual = plan.new(x.shape, like=x) if y is not None else None
            plan.give(other, dresidual or dy)
        maps = [None if v is None else _by_channel(v) for v in (dy, x, y, dx, dresidual)]
        plan.call("batch_norm_backward", *maps[:3], self.weight, self.mean, self.rstd, *maps[3:],
                  dw, db, self.use_batch, self.cap,
                  notes=fusions(ReLU=self.fused(ReLU), ReLU6=self.fused(ReLU6)))
        if plan.needs(source):
            plan.give(source, dx)


@lowers(LayerNorm, GroupNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d)
class GroupNormRule(Rule):
    """One kernel for each pass, over planes. Running statistics it does not know."""

    @classmethod
    def takes(cls, layer: Layer) -> bool:
        return not layer.buffers

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        x = self.x = plan.laid_out(self.sources[0], False)
        self.seen = self.groups(x)
        self.weight = self.parameter("weight", 1)
        y = plan.new(x.shape)
        self.mean, self.rstd = (plan.new(self.seen[:2]) for _ in range(2))
        plan.call("group_norm", x.reshaped(*self.seen), self.weight, self.parameter("bias", 0),
                  y.reshaped(*self.seen), self.mean, self.rstd, layer.eps)
        return y

    def groups(self, x: Value) -> tuple[int, ...]:
        """The shape in which the kernel sees `x`."""
        layer = self.layer
        if isinstance(layer, LayerNorm):
            return features_of("LayerNorm", x, layer.normalized_shape)
        layer.check_shape(x.shape)
        return groups_of(type(layer).__name__, x, layer.num_groups)

    def parameter(self, name: str, fill: float) -> Value:
        """The weight or the bias, or what stands for it."""
        shape = self.seen[1:3]
        if name in self.layer.params:
            return self.plan.parameter(self.layer, name).reshaped(*shape)
        return self.plan.constant(np.full(shape, fill, self.plan.dtype))

    def backward(self, dy: Value) -> None:
        plan, layer, x, (source,) = self.plan, self.layer, self.x, self.head.inputs
        dy, dx = plan.laid_out(dy, False), plan.new(x.shape)
        dw, db = (plan.gradient(layer, name).reshaped(*self.seen[1:3]) if name in layer.params
                  else plan.new(self.seen[1:3]) for name in ("weight", "bias"))
        plan.call("group_norm_backward", dy.reshaped(*self.seen), x.reshaped(*self.seen),
                  self.weight, self.mean, self.rstd, dx.reshaped(*self.seen), dw, db)
        if plan.needs(source):
            plan.give(source, dx)


@lowers(LocalResponseNorm)
class LocalResponseNormRule(Rule):
    """One kernel for each pass, over planes."""

    def forward(self) -> Value:
        plan, layer = self.plan, self.layer
        x = self.x = plan.laid_out(self.sources[0], False)
        if x.ndim < 3:
            raise ShapeError(f"LocalResponseNorm: x must be (N, C, ...), got {x.shape}")
        y = plan.new(x.shape)
        self.base = plan.new(x.shape) if plan.training else None
        base = None if self.base is None else _by_channel(self.base)
        plan.call("local_response_norm", _by_channel(x), _by_channel(y), base, layer.size,
                  layer.alpha, layer.beta, layer.k)
        return y

    def backward(self, dy: Value) -> None:
        plan, layer, x, (source,) = self.plan, self.layer, self.x, self.head.inputs
        assert self.base is not None
        dx = plan.new(x.shape)
        maps = [_by_channel(v) for v in (plan.laid_out(dy, False), x, self.base, dx)]
        plan.call("local_response_norm_backward", *maps, layer.size, layer.alpha, layer.beta)
        plan.give(source, dx)


def _by_channel(x: Value) -> Value:
    N, C = x.shape[:2]
    return x.reshaped(N, C, x.size // max(1, N * C))


def _count(all_batches):
    for batches in all_batches:
        batches += 1


def _reciprocal(var, eps, rstd):
    np.add(var, eps, out=rstd)
    np.sqrt(rstd, out=rstd)
    np.divide(1, rstd, out=rstd)
