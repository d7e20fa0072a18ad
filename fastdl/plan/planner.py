"""From a graph at fixed shapes to steps: groups of nodes that fuse, then forward, then backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._kernels import _dispatch
from ..graph import Graph, Node, Seen
from ..layers.join import Add
from ..layers.layer import Layer
from ..ops._arrays import empty
from .lower import Rule, rule_for
from .step import Step
from .value import Value

Shape = tuple[int, ...]


class Planner:
    """What the rules of `lower` build a plan with.

    Parameters
    ----------
    graph : Graph
    shapes : of the inputs
    dtype : of everything
    training : True for the layers' own modes, False for inference in all of them
    paths : names of the layers, also of those that the graph does without
    seen : what a run layer by layer has shown, for layers that no rule knows
    """

    def __init__(self, graph: Graph, shapes: Sequence[Shape], dtype: np.dtype, training: bool,
                 paths: Mapping[Layer, str], seen: Seen | None = None) -> None:
        self.graph, self.dtype, self.training, self.seen = graph, dtype, training, seen or []
        self.steps: list[Step] = []
        self.phase = "forward"
        self._paths = paths
        self._where = ""
        # Native kernels have their fastest vectors along channels; the others know planes only.
        self.like = np.empty(0, dtype)          # for the dispatch, which looks at arrays
        conv2d = _dispatch.kernel("conv2d", self.like)
        self.channels_last = conv2d.__module__.endswith("_cython")
        self._values: dict[Node, Value] = {}
        self._gradients: dict[Node, Value] = {}
        self._written: dict[tuple[Layer, str], Value] = {}
        self._to_add: list[tuple[Value, Value]] = []
        self._readers: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node, _ in graph.steps:
            for source in node.inputs:
                self._readers[source].append(node)
        self._gated: set[Node] = set()
        self._moments: dict[Node, Value] = {}
        self._together: dict[Callable[..., Any], list[Value]] = {}
        self._unread: dict[Node, int] = {}
        self._needed: list[bool] = graph.needing_gradients(False)
        self.inputs = []
        for node, shape in zip(graph.inputs, shapes, strict=True):
            self._values[node] = Value(shape, dtype)
            self.inputs.append(self._values[node])
        self._groups = self._fuse()

    # ---- the two passes ----

    def forward(self) -> list[Value]:
        """Add the steps of the forward pass; returns the outputs."""
        for node, _ in self.graph.steps:
            rule = self._groups[node]
            if node is rule.tail:
                self._where = rule.where
                self._values[node] = rule.forward()
        return [self._values[node] for node in self.graph.outputs]

    def backward(self, dys: Sequence[Value]) -> None:
        """Add the steps of the backward pass, from the gradients of the outputs."""
        self.phase = "backward"
        self._unread = {node: len(self._readers[node]) for node in self.graph.nodes}
        for node, dy in zip(self.graph.outputs, dys, strict=True):
            self.give(node, dy)
        for node, _ in reversed(self.graph.steps):
            rule = self._groups[node]
            if node is not rule.tail:
                continue
            self._where = rule.where
            if node in self._gradients and self._needed[node.index]:
                rule.backward(self._gradients.pop(node))
            for part in rule.nodes:
                for source in part.inputs:
                    self._unread[source] -= 1
            for target, more in self._to_add:
                self.call("add", target.flat(), more.flat(), target.flat())
            self._to_add.clear()
        for layer in self._paths:               # what no output depends on
            for name in layer.params:
                if (layer, name) not in self._written:
                    self.run("clear", np.ndarray.fill, self.gradient(layer, name), 0)

    def _fuse(self) -> dict[Node, Rule]:
        """For each node the rule of its group: a chain in which only the next reads each."""
        groups: dict[Node, Rule] = {}
        for node, layer in self.graph.steps:
            if node in groups:
                continue
            kind = rule_for(layer)
            chain, wanted = [node], list(kind.followers(self, layer))
            while wanted:
                readers = self._readers[chain[-1]]
                if len(readers) != 1 or chain[-1] in self.graph.outputs or readers[0] in groups:
                    break
                following, after = readers[0], readers[0].layer
                while wanted and type(after) is not wanted[0]:
                    wanted.pop(0)
                if not wanted or after is None or not kind.fuses(after) or (
                        wanted.pop(0) is Add and len(following.inputs) != 2):
                    break
                chain.append(following)
            # A residual must be there before the group runs: it does so where its last node is.
            rule = kind(self, chain)
            groups.update(dict.fromkeys(chain, rule))
        return groups

    # ---- for the rules: values ----

    def value_of(self, node: Node) -> Value:
        """The output of `node`."""
        return self._values[node]

    def new(self, shape: Shape, like: Value | None = None, dtype: Any = None) -> Value:
        """A value in the arena, of `like`'s layout and of the plan's dtype."""
        last = like is not None and like.channels_last
        return Value(tuple(shape), np.dtype(dtype or self.dtype), last)

    def new_maps(self, shape: Shape, x: Value) -> Value:
        """The output of a convolution of x; of one channel it may have either layout."""
        y = self.new(shape, like=x)
        y.channels_last = self.channels_last if x.shape[1] == 1 else x.channels_last
        return y

    def parameter(self, layer: Layer, name: str) -> Value:
        """A parameter or a buffer of a layer, which somebody may change between runs."""
        array = {**layer.params, **layer.buffers}[name]
        return self.constant(array)

    def constant(self, array: np.ndarray) -> Value:
        """An array that is there already."""
        return Value(array.shape, array.dtype, get=lambda: array)

    def inner(self, x: Value) -> Value:
        """Feature maps in the layout that the convolutions of this plan prefer."""
        return self.laid_out(x, self.channels_last) if x.ndim == 4 else x

    def laid_out(self, x: Value, channels_last: bool) -> Value:
        """`x` in this layout, by a copy if it must be."""
        # One channel, or one pixel, lies the same in both.
        if x.channels_last == channels_last or x.ndim < 3 or 1 in (x.shape[1], x.size // max(
                1, x.shape[0] * x.shape[1])):
            return x
        y = Value(x.shape, x.dtype, channels_last)
        self.call("copy_maps", x, y)
        return y

    def add_moments(self, node: Node, channels: int) -> Value | None:
        """Where the maker of `node` shall put mean and variance of its channels, if wanted."""
        for reader in self._readers[node]:
            rule = self._groups[reader]
            if rule.wants_moments and node in rule.head.inputs:
                return self._moments.setdefault(node, self.new((2, channels)))
        return None

    def moments_of(self, node: Node) -> Value | None:
        """What the maker of `node` has put there."""
        return self._moments.get(node)

    # ---- for the rules: steps ----

    def call(self, kernel: str, *arguments: Any, flops: float = 0.0, notes: str = "") -> None:
        """Add a call of a kernel from the table."""
        function = _dispatch.kernel(kernel, self.like)
        self.run(kernel, function, *arguments, flops=flops, notes=notes)

    def run(self, name: str, function: Callable[..., Any], *arguments: Any, flops: float = 0.0,
            notes: str = "") -> None:
        """Add a call of any function."""
        self.steps.append(Step(name, self._where, function, arguments, self.phase, flops, notes))

    def run_together(self, name: str, function: Callable[..., Any], value: Value) -> None:
        """Have `function` called once in a run, with all values that layers ask it for."""
        if function not in self._together:
            self._together[function] = []
            self.run(name, function, self._together[function])
        self._together[function].append(value)

    def through_relu(self, rule: Rule, y: Value, dy: Value) -> Value:
        """The gradient before the ReLU that `rule` ends in, if it does; y is its output."""
        dy = self.laid_out(dy, y.channels_last)
        if not rule.ends_in_relu or rule.tail in self._gated:
            return dy
        dx = self.new(dy.shape, like=dy)
        self.call("relu_backward", dy.flat(), y.flat(), dx.flat())
        return dx

    def path(self, layer: Layer) -> str:
        """What people call the layer."""
        return self._paths.get(layer) or type(layer).__name__.lower()

    # ---- for the rules: gradients ----

    def needs(self, node: Node) -> bool:
        """Whether the gradient of `node` is needed."""
        return self._needed[node.index]

    def give(self, node: Node, dx: Value) -> None:
        """A contribution to the gradient of `node`; they add up."""
        dx = self.laid_out(dx, self._values[node].channels_last)
        if (before := self._gradients.pop(node, None)) is not None:
            total = self.new(dx.shape, like=dx)
            self.call("add", before.flat(), dx.flat(), total.flat())
            dx = total
        self._gradients[node] = dx

    def take_gradient(self, node: Node, like: Value) -> Value | None:
        """What others gave for `node`, in `like`'s layout, for a kernel that adds it to its own."""
        before = self._gradients.pop(node, None)
        return None if before is None else self.laid_out(before, like.channels_last)

    def has_gradient(self, node: Node) -> bool:
        """Whether others gave something for `node`."""
        return node in self._gradients

    def closes(self, node: Node) -> bool:
        """Whether what is given next for `node` completes its gradient, and a ReLU made its value.

        Then whoever asks has to apply the ReLU's gate to it, as its last reader: the ReLU itself
        will not.
        """
        rule = self._groups.get(node)
        while rule is not None and self._unread[node] == 1 and rule.is_view:
            (node,) = rule.head.inputs
            rule = self._groups.get(node)
            if node in self._gradients:         # which would get past the gate
                return False
        if rule is None or self._unread[node] != 1 or not rule.ends_in_relu:
            return False
        self._gated.add(node)
        return True

    def gradient(self, layer: Layer, name: str) -> Value:
        """Where to write the gradient of a parameter; what several uses write adds up."""
        w = layer.params[name]
        target = Value(w.shape, w.dtype, get=partial(_gradient_array, layer, name))
        if (layer, name) not in self._written:
            self._written[layer, name] = target
            return target
        more = self.new(w.shape)
        self._to_add.append((self._written[layer, name], more))
        return more


def _gradient_array(layer: Layer, name: str) -> np.ndarray:
    w, grads = layer.params[name], layer.grads
    if name not in grads or grads[name].dtype != w.dtype or not grads[name].flags.carray:
        grads[name] = empty(w.shape, w.dtype)
    return grads[name]
