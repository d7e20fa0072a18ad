"""Where branches meet, if the layer before does not take that over."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...errors import ShapeError
from ...layers.join import Add, Concat, Mean, Multiply
from ...ops.join import checked_axis, factors_of_maps, product_shape, rows_before, summed_to
from ..value import Value
from .rule import Rule, lowers


class _JoinRule(Rule):
    """What the joins of inputs of one shape share."""

    def inputs(self) -> list[Value]:
        """The inputs, in one layout."""
        values = self.sources
        if len({value.shape for value in values}) != 1:
            raise ShapeError(f"{type(self.layer).__name__.lower()}: shapes differ: "
                             f"{', '.join(str(value.shape) for value in values)}")
        return [self.plan.laid_out(value, values[0].channels_last) for value in values]

    def sum(self, values: list[Value]) -> Value:
        """Add the steps of a sum."""
        total = values[0]
        for value in values[1:]:
            y = self.plan.new(value.shape, like=value)
            self.plan.call("add", total.flat(), value.flat(), y.flat())
            total = y
        return total


@lowers(Add)
class AddRule(_JoinRule):
    """The gradient goes to every input as it is."""

    def forward(self) -> Value:
        return self.sum(self.inputs())

    def backward(self, dy: Value) -> None:
        for source in self.head.inputs:
            if self.plan.needs(source):
                self.plan.give(source, dy)


@lowers(Mean)
class MeanRule(_JoinRule):
    """A sum, scaled; the gradient is scaled once for all inputs."""

    def forward(self) -> Value:
        return self.scaled(self.sum(self.inputs()))

    def backward(self, dy: Value) -> None:
        dx = self.scaled(dy)
        for source in self.head.inputs:
            if self.plan.needs(source):
                self.plan.give(source, dx)

    def scaled(self, x: Value) -> Value:
        """Divided by the number of inputs."""
        y = self.plan.new(x.shape, like=x)
        self.plan.run("divide", _divide, x.flat(), len(self.head.inputs), y.flat())
        return y


@lowers(Multiply)
class MultiplyRule(Rule):
    """The gradient of each input is dy times the other, summed where that was broadcast."""

    def forward(self) -> Value:
        plan, (a, b) = self.plan, self.sources
        shape = product_shape(a.shape, b.shape)
        self.swapped = a.shape != shape or factors_of_maps(b, a)
        a, b = (b, a) if self.swapped else (a, b)
        self.same, self.by_map = a.shape == b.shape, factors_of_maps(a, b)
        if self.same:
            b = plan.laid_out(b, a.channels_last)
        y = plan.new(shape, like=a)
        self.factors = a, b
        if self.same:
            plan.call("multiply", a.flat(), b.flat(), y.flat())
        elif self.by_map:
            plan.call("scale_maps", _by_map(a), b.reshaped(*b.shape[:2]), _by_map(y))
        else:
            plan.run("multiply", _multiply, a, b, y)
        return y

    def backward(self, dy: Value) -> None:
        plan, (a, b) = self.plan, self.factors
        sources = self.head.inputs[::-1] if self.swapped else self.head.inputs
        dy = plan.laid_out(dy, a.channels_last)
        if self.by_map:
            da, db = plan.new(a.shape, like=a), plan.new(b.shape)
            plan.call("scale_maps_backward", _by_map(dy), _by_map(a), b.reshaped(*b.shape[:2]),
                      _by_map(da), db.reshaped(*b.shape[:2]))
            for source, dx in zip(sources, (da, db), strict=True):
                if plan.needs(source):
                    plan.give(source, dx)
            return
        for source, x, other in zip(sources, (a, b), (b, a), strict=True):
            if not plan.needs(source):
                continue
            dx = plan.new(x.shape, like=x)
            if self.same:
                plan.call("multiply", dy.flat(), other.flat(), dx.flat())
            else:
                plan.run("multiply", _multiply_and_sum, dy, other, dx)
            plan.give(source, dx)


@lowers(Concat)
class ConcatRule(Rule):
    """Copies side by side, and back."""

    def forward(self) -> Value:
        plan, values = self.plan, self.sources
        last = any(value.channels_last for value in values)
        shape, *others = (value.shape for value in values)
        axis = self.axis = checked_axis("concat", self.layer.axis, shape, *others)
        size = sum(value.shape[axis] for value in values)
        y = plan.new((*shape[:axis], size, *shape[axis + 1:]))
        y.channels_last = self.last = last
        matrices = [self.matrix(plan.laid_out(value, last)) for value in values]
        self.widths = [matrix.shape[1] for matrix in matrices]
        for matrix, part in zip(matrices, self.parts(y), strict=True):
            plan.call("copy_matrix", matrix, part)
        return y

    def backward(self, dy: Value) -> None:
        plan = self.plan
        for source, value, part in zip(self.head.inputs, self.sources, self.parts(dy), strict=True):
            if plan.needs(source):
                dx = plan.new(value.shape, like=dy)
                plan.call("copy_matrix", part, self.matrix(dx))
                plan.give(source, dx)

    def matrix(self, value: Value) -> Value:
        """Rows of what lies in memory from the axis on."""
        rows = rows_before(value.shape, self.axis, self.last)
        return value.flat().reshaped(rows, value.size // max(1, rows))

    def parts(self, y: Value) -> Iterator[Value]:
        """The inputs as they lie in the output."""
        whole, start = self.matrix(y), 0
        for width in self.widths:
            yield whole.columns(start, start + width)
            start += width


def _divide(x, count, y):
    np.divide(x, count, out=y)


def _by_map(x: Value) -> Value:
    """Feature maps as (N, C, L)."""
    return x.reshaped(*x.shape[:2], math.prod(x.shape[2:]))


def _multiply(a, b, y):
    np.multiply(a, b, out=y)


def _multiply_and_sum(dy, other, dx):
    dx[...] = summed_to(dy * other, dx.shape)
