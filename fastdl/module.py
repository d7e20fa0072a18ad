"""Modules: networks and parts of networks, built of layers and other modules."""

from __future__ import annotations

import inspect
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from . import cuda, files
from .errors import ArgumentError, CheckpointError, DTypeError, GraphError, ShapeError
from .graph import Graph, Node, Tape
from .layers.layer import Layer, positive, write_into
from .ops._arrays import as_numpy
from .plan import Plans
from .summary import Text, summarize

# Counts changes to the structure of any module; a graph traced before the last one is stale.
_structure = itertools.count(1)
_structure_now = 0


def _structure_changed() -> None:
    global _structure_now
    _structure_now = next(_structure)


# Attributes of a module that say nothing about how its parts meet.
_NOT_STRUCTURE = frozenset({"training", "_trace", "_run"})


class _Traced(NamedTuple):
    """What is known of a module as long as its structure stays what it was."""

    structure: int
    graph: Graph
    paths: dict[Layer, str]
    plans: Plans
    inference: Graph            # without the outputs that are for training alone
    inference_plans: Plans


class ParameterDict(dict):
    """Arrays by name; assigning to a name writes into its array, which stays the same one."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self:
            raise ArgumentError(f"params: the network has no parameter {name!r}")
        write_into(self[name], value, name)


class ModuleList(list):
    """A list of layers and modules, named by their positions; what a list attribute becomes."""


def _may_hold_parts(value: Any) -> bool:
    """Whether a plain list has parts in it, or is empty and may get some."""
    if type(value) is list and not value:
        return True
    return type(value) in (list, tuple) and any(isinstance(v, Module | Layer) for v in value)


def _tracked(name: str):
    method = getattr(list, name)

    def changing(self, *args, **kwargs):
        result = method(self, *args, **kwargs)
        _structure_changed()
        return result
    changing.__name__, changing.__doc__ = name, method.__doc__
    return changing


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
              "__delitem__", "__iadd__", "__setitem__"):
    setattr(ModuleList, _name, _tracked(_name))


class Module:
    """Base of networks and of their building blocks.

    A module makes its parts in ``__init__`` and says in `connect` how nodes meet. Parts are named
    by their attributes, as in PyTorch: ``layer1.0.conv1.weight``. (``super().__init__()`` may be
    called but need not be.)

    >>> import fastdl as fd
    >>> class Residual(fd.Module):
    ...     def __init__(self, channels):
    ...         self.conv = fd.layers.Conv2d(channels, channels, 3, padding=1)
    ...
    ...     def connect(self, x):
    ...         return fd.relu(self.conv(x) + x)
    >>> net = Residual(4)
    >>> net.forward(np.zeros((1, 4, 8, 8), np.float32)).shape
    (1, 4, 8, 8)
    >>> list(net.params)
    ['conv.weight', 'conv.bias']
    """

    training = True
    _trace: _Traced | None = None
    _run: tuple[Graph, Tape] | None = None

    def connect(self, *inputs: Any, **options: Any) -> Any:
        """Wire the parts: from input nodes to the output node (or a tuple of them)."""
        raise NotImplementedError(f"{type(self).__name__} does not define connect")

    def __setattr__(self, name: str, value: Any) -> None:
        if _may_hold_parts(value):
            value = ModuleList(value)
        if name not in _NOT_STRUCTURE:
            _structure_changed()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _structure_changed()
        object.__delattr__(self, name)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along, or a pickle: all but the traces of runs."""
        return {name: value for name, value in vars(self).items() if name not in ("_trace", "_run")}

    # ---- parts ----

    def named_children(self) -> Iterator[tuple[str, Module | Layer]]:
        """The direct parts, by the names of their attributes."""
        for name, value in vars(self).items():
            if isinstance(value, Module | Layer):
                yield name, value
            elif isinstance(value, list | tuple):
                yield from ((f"{name}.{i}", part) for i, part in enumerate(value)
                            if isinstance(part, Module | Layer))
            elif isinstance(value, dict):
                yield from ((f"{name}.{key}", part) for key, part in value.items()
                            if isinstance(part, Module | Layer))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module | Layer]]:
        """This module and all parts inside it, by path; a shared part under each of its paths."""
        yield prefix, self
        for name, child in self.named_children():
            path = f"{prefix}.{name}" if prefix else name
            if isinstance(child, Module):
                yield from child.named_modules(path)
            else:
                yield path, child

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """All layers, by path."""
        return ((path, part) for path, part in self.named_modules() if isinstance(part, Layer))

    def _collect(self, kind: str) -> Iterator[tuple[str, np.ndarray]]:
        """Arrays of one kind by path; those of a shared layer once."""
        seen: set[Layer] = set()
        for path, layer in self.named_layers():
            if layer in seen:
                continue
            seen.add(layer)
            for name, array in getattr(layer, kind).items():
                yield (f"{path}.{name}" if path else name), array

    @property
    def params(self) -> ParameterDict:
        """All parameters by path; writing into them is seen by the next forward."""
        return ParameterDict(self._collect("params"))

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """The gradients of the last backward pass, under the parameters' names."""
        return dict(self._collect("grads"))

    def train(self, mode: bool = True) -> Module:
        """Use training behaviour in all parts."""
        mode = bool(mode)
        for _, part in self.named_modules():
            part.training = mode
        if self._trace is not None:
            for layer in self._trace.graph.layers():       # also those made inside connect
                layer.training = mode
        return self

    def eval(self) -> Module:
        """Use inference behaviour in all parts."""
        return self.train(False)

    def astype(self, dtype: Any) -> Module:
        """Convert parameters and floating buffers, as for a gradient check in float64."""
        dtype = np.dtype(dtype)
        if dtype.char not in "efd":
            raise ArgumentError(f"astype: expected float16, float32 or float64, got {dtype}")
        for _, layer in self.named_layers():
            for arrays in (layer.params, layer.buffers):
                for name, array in arrays.items():
                    if array.dtype.kind == "f":
                        arrays[name] = array.astype(dtype)
            layer.grads.clear()
        return self

    def to(self, device: str) -> Module:
        """Move parameters and floating buffers to a device, in place: "cuda", or "cpu" back.

        There, `predict` and `fastdl.Trainer` run the network as a plan. Gradients are dropped.

        Raises
        ------
        ArgumentError, DTypeError, DeviceError
            before anything is moved
        """
        if device not in ("cpu", "cuda"):
            raise ArgumentError(f"to: expected 'cpu' or 'cuda', got {device!r}")
        stores = [store for _, layer in self.named_layers()
                  for store in (layer.params, layer.buffers)]
        for array in (array for store in stores for array in store.values()):
            if device == "cuda" and array.dtype.kind == "f" and array.dtype != np.float32:
                raise DTypeError(f"to: on the device networks are float32, this one is "
                                 f"{array.dtype}; convert it with astype")
        move = cuda.to_device if device == "cuda" else cuda.to_host
        moved: list[dict[str, Any]] = [{name: move(array) if array.dtype.kind == "f" else array
                                        for name, array in store.items()} for store in stores]
        for store, arrays in zip(stores, moved, strict=True):
            store.update(arrays)
        for _, layer in self.named_layers():
            layer.grads.clear()
        return self

    @property
    def device(self) -> str:
        """Where the parameters lie: "cpu" or "cuda"."""
        return "cuda" if any(isinstance(w, cuda.Array)
                             for _, w in self._collect("params")) else "cpu"

    # ---- running ----

    @property
    def graph(self) -> Graph:
        """The network as a graph; traced anew when parts were changed."""
        return self._traced().graph

    def _traced(self) -> _Traced:
        if self._trace is None or self._trace.structure != _structure_now:
            graph, old = Graph.trace(self.connect, len(self._input_names())), self._trace
            paths = {layer: path for path, layer in self.named_layers()}
            if old is not None and paths == old.paths and graph.computes_like(old.graph):
                self._trace = old._replace(structure=_structure_now)    # others were changed
            else:
                self._take_in(graph)
                plans, inference = Plans(graph, paths), graph.for_inference()
                self._trace = _Traced(_structure_now, graph, paths, plans, inference,
                                      plans if inference is graph else Plans(inference, paths))
        return self._trace

    @property
    def inference_graph(self) -> Graph:
        """The same without what is for training alone: auxiliary outputs, and what they need."""
        return self._traced().inference

    @property
    def plans(self) -> Plans:
        """The plans that `Trainer` runs."""
        return self._traced().plans

    @property
    def inference_plans(self) -> Plans:
        """The plans that `predict` runs."""
        return self._traced().inference_plans

    def as_inputs(self, *arrays: Any) -> list[Any]:
        """What the graph is run on: floating ones in the parameters' dtype."""
        dtype = next((w.dtype for layer in self._traced().paths for w in layer.params.values()),
                     None)
        inputs = [x if isinstance(x, cuda.Array) else as_numpy(x) for x in arrays]
        return [x if dtype is None or x.dtype.kind != "f" or isinstance(x, cuda.Array)
                else x.astype(dtype, copy=False) for x in inputs]

    def _input_names(self) -> list[str]:
        kinds = inspect.Parameter
        return [name for name, p in inspect.signature(self.connect).parameters.items()
                if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
                and p.default is kinds.empty]

    def _take_in(self, graph: Graph) -> None:
        """Let layers made inside connect follow the module's mode; they may have no arrays."""
        known = {layer for _, layer in self.named_layers()}
        for layer in graph.layers():
            if layer in known:
                continue
            layer.training = self.training
            if layer.params or layer.buffers:
                raise GraphError(f"{type(self).__name__}.connect uses {layer!r}, which is no "
                                 "attribute of the module, so what it learns would be "
                                 "lost: make it in __init__")

    def __call__(self, *inputs: Any) -> Any:
        """Join a network (on nodes), or run forward (on arrays)."""
        if inputs and isinstance(inputs[0], Node):
            return self.connect(*inputs)
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        """Run on arrays and remember what `backward` needs.

        Floating inputs are converted to the parameters' dtype. Outputs that are for training alone
        are there in training mode.
        """
        trace, xs = self._traced(), self.as_inputs(*inputs)
        graph, plans = ((trace.graph, trace.plans) if self.training
                        else (trace.inference, trace.inference_plans))
        outputs, tape = graph.forward(xs)
        plans.learn(xs, tape.seen)
        self._run = (graph, tape)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        """Gradients of the last `forward`: fills `grads`, returns that of the input.

        A tuple where there are several outputs or inputs. Parameters that the outputs do not
        depend on get gradients of 0. With ``need_dx=False`` the first
        layer's input gradient is not computed, and None is returned.
        """
        if self._run is None:
            raise GraphError(f"{type(self).__name__}.backward: call forward first "
                             "(each backward needs a forward of its own)")
        (graph, tape), self._run = self._run, None
        dys = dy if isinstance(dy, tuple) else (dy,)
        if len(dys) != len(graph.outputs):
            raise GraphError(f"{type(self).__name__}.backward: the network has "
                             f"{len(graph.outputs)} outputs, got {len(dys)} gradients")
        dxs, grads = graph.backward(tape, dys, need_dx)
        for _, layer in self.named_layers():
            unused = {name: np.zeros_like(w) for name, w in layer.params.items()}
            layer.store_grads(grads.get(layer, unused))
        if not need_dx:
            return None
        return dxs[0] if len(dxs) == 1 else tuple(dxs)

    def predict(self, x: Any, batch_size: int = 256) -> Any:
        """Outputs for `x` in inference mode, batch by batch; several threads may call it.

        The modes of the parts (`train`, `eval`) are neither used nor changed.
        """
        positive("predict", batch_size=batch_size)
        x = x if isinstance(x, cuda.Array) else as_numpy(x)
        if x.ndim < 1:
            raise ShapeError(f"predict: x must have a batch dimension, got {x.shape}")
        batches = [self._infer(self.as_inputs(x[start:start + batch_size]))
                   for start in range(0, max(len(x), 1), batch_size)]
        joined = [np.concatenate(parts) if len(parts) > 1 else parts[0]
                  for parts in zip(*batches, strict=True)]
        return joined[0] if len(joined) == 1 else tuple(joined)

    def _infer(self, xs: list[np.ndarray]) -> list[np.ndarray]:
        """Outputs for one batch, planned where that can be."""
        graph, plans = self.inference_graph, self.inference_plans
        with plans.lock:
            if (plan := plans.get(xs)) is not None:
                plan.feed(xs)
                plan.run()
                # The results lie where the samples did.
                stay = isinstance(xs[0], cuda.Array)
                return [y.copy() if stay else cuda.to_host(y.copy()) for y in plan.outputs()]
            self.expect_plan("predict", xs)
        outputs, tape = graph.forward(xs, training=False, keep=False)
        plans.learn(xs, tape.seen)
        return outputs

    def expect_plan(self, operation: str, xs: list[np.ndarray]) -> None:
        """Raise where there must be a plan and is none: layer by layer nothing runs on a device."""
        if self.device == "cuda":
            raise GraphError(f"{operation}: this network cannot run on the device: "
                             f"{self.plans.reason(xs)}")

    # ---- looking ----

    def summary(self, shape: tuple[int, ...]) -> Text:
        """Layers with the shapes of their outputs, parameters, arithmetic and memory, as a table.

        What is for training alone (auxiliary outputs) is left out.

        Parameters
        ----------
        shape : of a batch of inputs; a list of shapes for several inputs

        >>> from fastdl.layers import Linear, ReLU
        >>> Sequential(Linear(4, 8), ReLU(), Linear(8, 2)).summary((10, 4))
        Sequential on float32 (10, 4)
        layer  kind    output  parameters    MFLOP       MB
        0      Linear    10×8          40  0.00064  0.00032
        1      ReLU      10×8                       0.00032
        2      Linear    10×2          18  0.00032    8e-05
        58 parameters, 0.000232 MB; arithmetic 9.6e-07 GFLOP; outputs 0.00072 MB, of which
        inference needs ... MB at a time
        """
        return summarize(self, shape)

    def draw(self, path: str | PathLike[str], shape: tuple[int, ...] | None = None) -> None:
        """Draw the architecture: an SVG, PNG or PDF by Graphviz, or its own ``.dot`` without it.

        Parameters
        ----------
        path : file to write; its suffix says what
        shape : of a batch of inputs; the shapes of all outputs are written beside the arrows then

        Raises
        ------
        ArgumentError
            for another suffix
        ImportError
            when Graphviz is not installed; it says how to have it
        """
        from .drawing import draw

        draw(self, path, shape)

    # ---- saving ----

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, under PyTorch's names."""
        return {name: np.array(cuda.to_host(array)) for name, array in self._state().items()}

    def _state(self) -> dict[str, np.ndarray]:
        """Parameters and buffers by path; those of a shared layer under each of its paths."""
        merged: dict[str, np.ndarray] = {}
        for path, layer in self.named_layers():
            for name, array in (*layer.params.items(), *layer.buffers.items()):
                merged[f"{path}.{name}" if path else name] = array
        return merged

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Write a state dict into the parameters and buffers.

        Parameters
        ----------
        state : arrays (or anything NumPy converts) by name
        strict : also raise for names that are missing or not known

        Raises
        ------
        CheckpointError
            when something does not fit; nothing is changed then
        """
        own = self._state()
        problems = []
        if strict:
            # Files from before PyTorch 0.4.1 lack the count of batches; PyTorch lets it be, too.
            problems += [f"missing {name}" for name in own if name not in state
                         and not name.endswith("num_batches_tracked")]
            problems += [f"unexpected {name}" for name in state if name not in own]
        new = {name: as_numpy(cuda.to_host(state[name])) for name in own if name in state}
        problems += [f"{name} is {value.shape}, expected {own[name].shape}"
                     for name, value in new.items() if value.shape != own[name].shape]
        problems += [f"{name} is {value.dtype}, expected {own[name].dtype}"
                     for name, value in new.items() if value.dtype.kind not in "fiub"]
        if problems:
            more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
            raise CheckpointError(f"load_state_dict: {type(self).__name__} does not fit: "
                                  f"{'; '.join(problems[:8])}{more}")
        for name, value in new.items():
            own[name][...] = value

    def save(self, path: str | PathLike[str], **about: Any) -> None:
        """Write a state dict to a safetensors file; `about` is kept with it (see `files`).

        The file is written beside and renamed: a save that is cut off leaves the old one whole.
        """
        tensors = {name: cuda.to_host(array) for name, array in self._state().items()}
        files.write_tensors(path, tensors, {"fastdl": json.dumps(about)})

    def load(self, path: str | PathLike[str], strict: bool = True) -> None:
        """Read a state dict: one that `save` wrote, or a file of PyTorch's, such as torchvision's.

        Parameters
        ----------
        path : a safetensors file; with the suffix ``.pth`` or ``.pt``, what ``torch.save`` wrote.
            The latter is read without PyTorch, and refused if it holds anything but tensors.
        strict : as of `load_state_dict`

        Raises
        ------
        CheckpointError
            when the file cannot be read, or does not fit; nothing is changed then
        """
        if os.fspath(path).endswith((".pth", ".pt")):
            from . import torch_files

            tensors = torch_files.read_state_dict(path)
        else:
            tensors, _ = files.read_tensors(path)
        self.load_state_dict(tensors, strict)

    def to_torch_state_dict(self) -> dict[str, Any]:
        """Copies of all parameters and buffers as PyTorch's tensors.

        The same architecture in PyTorch takes them by ``load_state_dict``.
        """
        try:
            import torch
        except ImportError as error:
            raise ImportError("to_torch_state_dict needs PyTorch: pip install torch") from error
        return {name: torch.from_numpy(array) for name, array in self.state_dict().items()}

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ")
                 for name, child in self.named_children()]
        inside = "\n" + "\n".join(lines) + "\n" if lines else ""
        return f"{type(self).__name__}({inside})"


class Sequential(Module):
    """Layers and modules one after another, named by their positions.

    Parameters
    ----------
    parts : layers and modules, first to last

    >>> from fastdl.layers import Linear, ReLU
    >>> net = Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
    >>> list(net.params)
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *parts: Module | Layer) -> None:
        for part in parts:
            self._check(part)
        self._parts = ModuleList(parts)

    @staticmethod
    def _check(part: Any) -> None:
        if not isinstance(part, Module | Layer):
            raise ArgumentError(f"Sequential: expected layers and modules, got {part!r}")

    def connect(self, x: Node) -> Node:
        for part in self._parts:
            x = part(x)
        return x

    def named_children(self) -> Iterator[tuple[str, Module | Layer]]:
        return ((str(i), part) for i, part in enumerate(self._parts))

    def append(self, part: Module | Layer) -> Sequential:
        """Add a part at the end."""
        self._check(part)
        self._parts.append(part)
        return self

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self._parts[index]) if isinstance(index, slice) else self._parts[index]

    def __iter__(self) -> Iterator[Module | Layer]:
        return iter(self._parts)

