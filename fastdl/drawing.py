"""A network as a picture, by Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import files
from .errors import ArgumentError
from .graph import Graph, Node
from .layers.layer import Layer
from .summary import shapes_of, zeros_of

if TYPE_CHECKING:
    from .module import Module

FORMATS = ("svg", "png", "pdf", "dot")
WITH_WEIGHTS, WITHOUT = "#cfe2f3", "#f3f3f3"


def draw(net: Module, path: str | PathLike[str], shape: Any = None) -> None:
    """What `Module.draw` does."""
    kind = Path(path).suffix[1:]
    if kind not in FORMATS:
        raise ArgumentError(f"draw: the file must end in {', '.join('.' + f for f in FORMATS)}, "
                            f"got {str(path)!r}")
    text = as_dot(net, shape)
    if kind == "dot":
        files.write_text(path, text)
        return
    if shutil.which("dot") is None:
        raise ImportError(f"draw: {kind} needs Graphviz, whose program dot is not found; see "
                          "graphviz.org/download, or write a .dot file")
    done = subprocess.run(["dot", f"-T{kind}"], input=text.encode(), capture_output=True,
                          check=True)
    with files.replacing(path) as file:
        file.write(done.stdout)


def as_dot(net: Module, shape: Any = None) -> str:
    r"""The network in Graphviz's language: a box for each layer, a frame around each module.

    >>> from fastdl.layers import Linear
    >>> from fastdl.module import Sequential
    >>> print(as_dot(Sequential(Linear(4, 2)), (1, 4)))
    digraph "Sequential" {
      node [shape=box, style=filled, fontname="sans-serif", fillcolor="#f3f3f3"]
      edge [fontname="sans-serif", fontsize=10]
      n0 [label="input"]
      n1 [label="0\nLinear(4, 2)", fillcolor="#cfe2f3"]
      n0 -> n1 [label="1×4"]
      out0 [label="output"]
      n1 -> out0 [label="1×2"]
    }
    """
    graph = net.inference_graph
    paths = {layer: path for path, layer in net.named_layers()}
    seen = None if shape is None else shapes_of(graph, zeros_of("draw", net, shape))

    def arrow(source: int, target: str) -> str:
        size = "" if seen is None else f' [label="{"×".join(map(str, seen[source][0]))}"]'
        return f"n{source} -> {target}{size}"

    lines = ["node [shape=box, style=filled, fontname=\"sans-serif\", "
             f"fillcolor=\"{WITHOUT}\"]",
             'edge [fontname="sans-serif", fontsize=10]']
    lines += [f'n{node.index} [label="input"]' for node in graph.inputs]
    lines += _framed(list(_boxes(graph, paths)))
    lines += [arrow(source.index, f"n{node.index}")
              for node, _ in graph.steps for source in node.inputs]
    for i, node in enumerate(graph.outputs):
        lines += [f'out{i} [label="output"]', arrow(node.index, f"out{i}")]
    return "\n".join([f'digraph "{type(net).__name__}" {{', *("  " + line for line in lines), "}"])


def _boxes(graph: Graph, paths: dict[Layer, str]) -> Iterator[tuple[list[str], str]]:
    """Path and text of each box; a layer made inside connect stands beside what it reads."""
    frames: dict[Node, list[str]] = {node: [] for node in graph.inputs}
    for node, layer in graph.steps:
        *frame, name = paths[layer].split(".") if layer in paths else (*frames[node.inputs[0]], "")
        frames[node] = frame
        label = f"{name}\\n{layer!r}" if name else type(layer).__name__
        color = f', fillcolor="{WITH_WEIGHTS}"' if layer.params else ""
        yield [*frame, name], f'n{node.index} [label="{label}"{color}]'


def _framed(boxes: list[tuple[list[str], str]], prefix: str = "") -> list[str]:
    """The boxes, those of one module inside a frame; each comes with the path that is left."""
    lines: list[str] = []
    inside: dict[str, list[tuple[list[str], str]]] = {}
    for path, box in boxes:
        if len(path) > 1:
            inside.setdefault(path[0], []).append((path[1:], box))
        else:
            lines.append(box)
    for name, parts in inside.items():
        full = f"{prefix}{name}"
        lines += [f'subgraph "cluster {full}" {{', f'  label="{full}"',
                  *("  " + line for line in _framed(parts, f"{full}.")), "}"]
    return lines
