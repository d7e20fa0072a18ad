"""Where branches meet, if the layer before does not take that over."""

from __future__ import annotations

import numpy as np

from ...errors import ShapeError
from ...layers.join import Add, Concat, Mean, Multiply
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
class MultiplyRule(_JoinRule):
    """The gradient of each input is dy times the other."""

    def forward(self) -> Value:
        self.factors = self.inputs()
        a, b = self.factors
        y = self.plan.new(a.shape, like=a)
        self.plan.run("multiply", _multiply, a.flat(), b.flat(), y.flat())
        return y

    def backward(self, dy: Value) -> None:
        dy = self.plan.laid_out(dy, self.factors[0].channels_last)
        for source, other in zip(self.head.inputs, reversed(self.factors), strict=True):
            if self.plan.needs(source):
                dx = self.plan.new(dy.shape, like=dy)
                self.plan.run("multiply", _multiply, dy.flat(), other.flat(), dx.flat())
                self.plan.give(source, dx)


@lowers(Concat)
class ConcatRule(Rule):
    """Copies side by side, and back."""

    def forward(self) -> Value:
        plan, values = self.plan, self.sources
        last = any(value.channels_last for value in values)
        values = [plan.laid_out(value, last) for value in values]
        shapes = [value.shape for value in values]
        self.axis = self.layer.axis % max(1, len(shapes[0]))
        if len({(*s[:self.axis], *s[self.axis + 1:]) for s in shapes}) != 1:
            raise ShapeError(f"concat: along axis {self.axis}, shapes do not fit: "
                             f"{', '.join(map(str, shapes))}")
        self.sizes = [shape[self.axis] for shape in shapes]
        whole = (*shapes[0][:self.axis], sum(self.sizes), *shapes[0][self.axis + 1:])
        y = plan.new(whole, like=values[0])
        y.channels_last = last
        plan.run("concat", _concat, values, y, self.axis)
        return y

    def backward(self, dy: Value) -> None:
        plan, start = self.plan, 0
        for source, value, size in zip(self.head.inputs, self.sources, self.sizes, strict=True):
            if plan.needs(source):
                dx = plan.new(value.shape, like=dy)
                dx.channels_last = dy.channels_last
                plan.run("split", _split, dy, self.axis, start, size, dx)
                plan.give(source, dx)
            start += size


def _divide(x, count, y):
    np.divide(x, count, out=y)


def _multiply(a, b, y):
    np.multiply(a, b, out=y)


def _concat(arrays, y, axis):
    np.concatenate(arrays, axis, out=y)


def _split(dy, axis, start, size, dx):
    at = (slice(None),) * axis + (slice(start, start + size),)
    np.copyto(dx, dy[at])
