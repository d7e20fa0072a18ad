"""A network as a table: layers, shapes, parameters, arithmetic, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .backend import Text
from .errors import ArgumentError
from .graph import Graph, Seen
from .plan.explain import columns

if TYPE_CHECKING:
    from .module import Module

_HEAD = ("layer", "kind", "output", "parameters", "MFLOP", "MB")


def zeros_of(who: str, net: Module, shape: Any) -> list[np.ndarray]:
    """Inputs of 0 of this shape (of these shapes), in the dtype that the network runs in."""
    several = isinstance(shape, tuple | list) and shape and isinstance(shape[0], tuple | list)
    shapes = shape if several else [shape]
    for each in shapes:
        if not isinstance(each, tuple | list) or not all(
                isinstance(n, int | np.integer) and n > 0 for n in each):
            raise ArgumentError(f"{who}: shape must be that of a batch, such as (1, 3, 224, 224), "
                                f"got {shape!r}")
    return net.as_inputs(*(np.zeros(each, np.float32) for each in shapes))


def shapes_of(graph: Graph, xs: list[np.ndarray]) -> Seen:
    """Shape and dtype of every node's output, by a run of the network in inference mode."""
    _, tape = graph.forward(xs, training=False, keep=False)
    return tape.seen


def summarize(net: Module, shape: Any) -> Text:
    """What `Module.summary` returns."""
    xs, graph = zeros_of("summary", net, shape), net.inference_graph
    seen = shapes_of(graph, xs)
    paths = {layer: path for path, layer in net.named_layers()}
    rows, counted, flops, moved = [], set(), 0.0, 0
    for node, layer in graph.steps:
        y_shape, dtype = seen[node.index]
        work = layer.flops(seen[node.inputs[0].index][0], y_shape)
        size = int(np.prod(y_shape)) * dtype.itemsize
        weights = sum(w.size for w in layer.params.values())
        rows.append((
            paths.get(layer, ""), type(layer).__name__, "×".join(map(str, y_shape)),
            "shared" if weights and layer in counted else f"{weights:,}" if weights else "",
            f"{work * 1e-6:.4g}" if work else "", f"{size * 1e-6:.3g}"))
        counted.add(layer)
        flops, moved = flops + work, moved + size
    arrays = [w for layer in graph.layers() for w in layer.params.values()]
    plan = net.inference_plans.get(xs)
    shapes = ", ".join(str(x.shape) for x in xs)
    return Text("\n".join([
        f"{type(net).__name__} on {xs[0].dtype} {shapes}", *columns([_HEAD, *rows]),
        f"{sum(w.size for w in arrays):,} parameters, {sum(w.nbytes for w in arrays) * 1e-6:.4g} "
        f"MB; arithmetic {flops * 1e-9:.4g} GFLOP; outputs {moved * 1e-6:.4g} MB"
        + (f", of which\ninference needs {plan.arena_bytes * 1e-6:.4g} MB at a time" if plan
           else "")]))
