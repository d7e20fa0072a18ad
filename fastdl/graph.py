"""A network as a graph: which layer reads the output of which; forward and backward over it.

A network is traced once. Everything that needs to know its structure reads this graph: running it
here, and whatever plans, prints, draws or exports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .errors import GraphError
from .layers.join import add, multiply
from .layers.layer import Layer

Array = np.ndarray


class Node:
    """A value in a network: an input, or the output of a layer.

    Nodes of one graph can be added and multiplied; layers and modules called on a node wire it.
    """

    def __init__(self, graph: Graph, layer: Layer | None, inputs: tuple[Node, ...]) -> None:
        self.graph, self.layer, self.inputs = graph, layer, inputs
        self.index = len(graph.nodes)

    def wire(self, layer: Layer, inputs: Sequence[Any]) -> Node:
        """The node of `layer` applied to `inputs`, nodes of one graph."""
        return self.graph.add(layer, inputs)

    def __add__(self, other: Node) -> Node:
        return add(self, other)

    def __radd__(self, other: object) -> Node:
        if other == 0:              # where sum() starts
            return self
        return NotImplemented

    def __mul__(self, other: Node) -> Node:
        return multiply(self, other)

    def __repr__(self) -> str:
        read = ", ".join(str(node.index) for node in self.inputs)
        return f"<node {self.index}: {self.layer or 'input'} of ({read})>"


class _TrainingOnly(tuple):
    """What `training_only` returns."""


def training_only(output: Node, *auxiliary: Node) -> tuple[Node, ...]:
    """What `Module.connect` returns when all outputs but the first are for training alone.

    In inference the network has only the first output, and nothing else is computed. `Trainer`
    adds the losses of the others to that of the first (`fastdl.losses.WithAuxiliary`).
    """
    return _TrainingOnly((output, *auxiliary))


Seen: TypeAlias = list[tuple[tuple[int, ...], np.dtype]]
"""Shape and dtype of each node's value, by index."""


class Tape(NamedTuple):
    """What a backward pass needs of the forward pass before it."""

    saved: list[Any]                            # of each node, by index
    outputs: list[Array]
    seen: Seen


class Graph:
    """Nodes in the order in which they can run; inputs come first."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.steps: list[tuple[Node, Layer]] = []       # the nodes that are no inputs
        self.inputs: list[Node] = []
        self.outputs: list[Node] = []
        self.auxiliary = 0                              # how many of them, at the end, only train
        self._last_reader: list[int] = []

    @classmethod
    def trace(cls, connect: Callable[..., Any], inputs: int) -> Graph:
        """The graph that `connect` builds from `inputs` input nodes."""
        graph = cls()
        for _ in range(inputs):
            graph.inputs.append(graph._append(None, ()))
        result = connect(*graph.inputs)
        graph.outputs = list(result) if isinstance(result, tuple | list) else [result]
        graph.auxiliary = len(graph.outputs) - 1 if isinstance(result, _TrainingOnly) else 0
        for output in graph.outputs or [result]:
            if not isinstance(output, Node) or output.graph is not graph:
                raise GraphError(f"connect must return a node (or several) made from its inputs, "
                                 f"got {output!r}")
        graph._find_last_readers()
        return graph

    def for_inference(self) -> Graph:
        """The same without the outputs that are for training alone, and what only they need."""
        if not self.auxiliary:
            return self
        graph = Graph()
        graph.nodes, graph.inputs = self.nodes, self.inputs
        graph.outputs = self.outputs[:-self.auxiliary]
        needed = set(graph.outputs)
        for node, _ in reversed(self.steps):
            if node in needed:
                needed.update(node.inputs)
        graph.steps = [(node, layer) for node, layer in self.steps if node in needed]
        graph._find_last_readers()
        return graph

    def _find_last_readers(self) -> None:
        """Note the last node that reads each value; outputs are needed to the end."""
        self._last_reader = list(range(len(self.nodes)))
        for node, _ in self.steps:
            for source in node.inputs:
                self._last_reader[source.index] = node.index
        for output in self.outputs:
            self._last_reader[output.index] = len(self.nodes)

    def _append(self, layer: Layer | None, inputs: tuple[Node, ...]) -> Node:
        node = Node(self, layer, inputs)
        self.nodes.append(node)
        return node

    def add(self, layer: Layer, inputs: Sequence[Any]) -> Node:
        """Append a node that applies `layer` to `inputs`."""
        for node in inputs:
            if not isinstance(node, Node) or node.graph is not self:
                raise GraphError(f"{layer!r}: all inputs must be nodes of the same network, got "
                                 f"{node if isinstance(node, Node) else type(node).__name__}")
        node = self._append(layer, tuple(inputs))
        self.steps.append((node, layer))
        return node

    def computes_like(self, other: Graph) -> bool:
        """Whether both have the same layers, wired alike."""
        def wiring(graph: Graph) -> list[list[list[int]]]:
            return [[[source.index for source in node.inputs] for node in graph.nodes],
                    [[node.index for node in graph.outputs], [graph.auxiliary]]]

        return wiring(self) == wiring(other) and all(
            mine.computes_like(its)
            for (_, mine), (_, its) in zip(self.steps, other.steps, strict=True))

    def layers(self) -> list[Layer]:
        """The layers, each once, in the order of their first use."""
        return list(dict.fromkeys(layer for _, layer in self.steps))

    def forward(self, inputs: Sequence[Array], training: bool | None = None, keep: bool = True,
                watch: Callable[[Node, Array], None] | None = None) -> tuple[list[Array], Tape]:
        """Outputs, and the tape for `backward` (an empty one without `keep`).

        `training` overrides the layers' own modes. `watch` is shown each layer's output. Each array
        is let go when its last reader has run; what the layers saved, with `keep`, stays on the
        tape. Nothing is left behind in the graph: several threads may do this at once.
        """
        if len(inputs) != len(self.inputs):
            raise GraphError(f"forward: the network has {len(self.inputs)} inputs, "
                             f"got {len(inputs)}")
        values: dict[int, Array] = {node.index: value for node, value
                                    in zip(self.inputs, inputs, strict=True)}
        saved: list[Any] = [None] * len(self.nodes)
        seen: Seen = [((), np.dtype(object))] * len(self.nodes)
        for node, x in zip(self.inputs, inputs, strict=True):
            seen[node.index] = (x.shape, x.dtype)
        for node, layer in self.steps:
            arguments = tuple(values[source.index] for source in node.inputs)
            mode = layer.training if training is None else training
            values[node.index], state = layer.apply(arguments, layer.params, mode)
            if keep:
                saved[node.index] = state
            y = values[node.index]
            if watch is not None:
                watch(node, y)
            seen[node.index] = (np.shape(y), getattr(y, "dtype", np.dtype(object)))
            del arguments, state, y     # which would outlive their last reader
            for source in node.inputs:
                if self._last_reader[source.index] == node.index:
                    values.pop(source.index, None)
        outputs = [values[node.index] for node in self.outputs]
        return outputs, Tape(saved, outputs, seen)

    def backward(self, tape: Tape, dys: Sequence[Array], need_dx: bool = True,
                 watch: Callable[[Node, Array], None] | None = None,
                 ) -> tuple[list[Array | None], dict[Layer, dict[str, Array]]]:
        """Gradients of the inputs (None without `need_dx`), and of each layer's parameters.

        The nodes are walked in reverse; gradients of a value that is read several times, and of
        a layer that is used several times, add up. `watch` is shown the gradient of each layer's
        output.
        """
        needed = self.needing_gradients(need_dx)
        flowing: dict[int, Array] = {}
        for node, dy, output in zip(self.outputs, dys, tape.outputs, strict=True):
            if np.shape(dy) != output.shape:
                raise GraphError(f"backward: the output is {output.shape}, its gradient must be "
                                 f"too, got {np.shape(dy)}")
            _accumulate(flowing, node.index, np.asarray(dy, output.dtype))
        grads: dict[Layer, dict[str, Array]] = {}
        for node, layer in reversed(self.steps):
            if node.index not in flowing or not needed[node.index]:
                continue
            dy = flowing.pop(node.index)
            if watch is not None:
                watch(node, dy)
            if any(needed[source.index] for source in node.inputs):
                dxs, param_grads = layer.grad(dy, tape.saved[node.index])
                _expect_count(node, dxs)
                for source, dx in zip(node.inputs, dxs, strict=True):
                    _accumulate(flowing, source.index, dx)
            else:
                param_grads = layer.param_grads(dy, tape.saved[node.index])
            _merge(grads, layer, param_grads)
        return [flowing.get(node.index) for node in self.inputs] if need_dx else [], grads

    def needing_gradients(self, need_dx: bool) -> list[bool]:
        """For each node, whether anything that is asked for depends on its gradient."""
        needed = [need_dx] * len(self.nodes)
        for node, layer in self.steps:
            needed[node.index] = bool(layer.params) or any(
                needed[source.index] for source in node.inputs)
        return needed


def _accumulate(flowing: dict[int, Array], index: int, gradient: Array) -> None:
    # Not in place: the array may also flow elsewhere.
    flowing[index] = flowing[index] + gradient if index in flowing else gradient


def _merge(grads: dict[Layer, dict[str, Array]], layer: Layer, new: dict[str, Array]) -> None:
    if layer not in grads:
        grads[layer] = new
    else:
        grads[layer] = {name: grads[layer][name] + value for name, value in new.items()}


def _expect_count(node: Node, dxs: Any) -> None:
    if not isinstance(dxs, tuple | list) or len(dxs) != len(node.inputs):
        got = len(dxs) if isinstance(dxs, tuple | list) else type(dxs).__name__
        raise GraphError(f"{node.layer!r}.grad: must return a tuple of {len(node.inputs)} input "
                         f"gradients and a dict, got {got}")
