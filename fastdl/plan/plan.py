"""A network at fixed shapes, ready to run: a list of calls over one block of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..cuda import Replay
from ..graph import Graph, Seen
from ..layers.layer import Layer
from ..losses import Loss, WithAuxiliary
from ..ops._arrays import on_device
from .arena import allocate, lifetimes, offsets
from .lower import LossRule, loss_rule
from .lower.rule import NotPlannableError, known
from .planner import Planner, Shape
from .step import Step


class Plan:
    """What `predict` runs for one shape of its inputs, and, with a loss, a training step.

    Memory is taken at the first run. Parameters are read where they are at each run.

    Parameters
    ----------
    graph, shapes, dtype, paths, seen : as of `Planner`
    loss : of a training step; None for inference

    Attributes
    ----------
    steps : list of Step
    dtype : numpy.dtype
    like : array
        Of the dtype, and on the device, of all of the plan's.
    arena_bytes : int
        The memory that it takes.
    running : bool
        Whether `run` has begun and not ended.
    """

    def __init__(self, graph: Graph, shapes: Sequence[Shape], dtype: np.dtype,
                 paths: Mapping[Layer, str], loss: Loss | None = None,
                 seen: Seen | None = None) -> None:
        if loss is not None and len(graph.outputs) != 1 and not isinstance(loss, WithAuxiliary):
            raise NotPlannableError(f"a loss of {len(graph.outputs)} outputs")
        planner = Planner(graph, shapes, dtype, loss is not None, paths, seen)
        self._inputs, self._outputs = planner.inputs, planner.forward()
        self.loss: LossRule | None = None
        if loss is not None:
            self.loss = loss_rule(loss, planner.on_device)
            planner.backward(self.loss.lower(planner, self._outputs))
        self.steps: list[Step] = planner.steps
        self.dtype = dtype
        self.like, self._before = planner.like, planner.before
        self._graph: Replay | None = Replay(planner.alone) if planner.on_device else None
        # Those of a training step are wanted, too: what was right is counted when somebody asks.
        lives = lifetimes(self.steps, self._inputs, self._outputs)
        self._places, self.arena_bytes = offsets(lives)
        self._calls: list[Callable[[], Any]] | None = None
        self.running = False
        self._layers = list(paths)
        self._versions = [(layer, layer.version) for layer in graph.layers() if known(layer)]
        self._arrays = list(_arrays_of(self._layers, "params", "buffers"))

    def is_current(self) -> bool:
        """Whether no layer was changed but for what its arrays hold."""
        return (all(layer.version == version for layer, version in self._versions)
                and all(store.get(name) is array for store, name, array in self._arrays))

    @property
    def parameter_bytes(self) -> int:
        """What the parameters and buffers of the layers take."""
        return sum(array.nbytes for _, _, array in _arrays_of(self._layers, "params", "buffers"))

    def prepare(self) -> list[Callable[[], Any]]:
        """Take memory; returns the calls of the steps."""
        if self._calls is None:
            allocate(self._places, self.arena_bytes, self.like)
            self._calls = [step.bind() for step in self.steps]
            if self.loss is not None:
                self._arrays += _arrays_of(self._layers, "grads")
        return self._calls

    def feed(self, xs: Sequence[np.ndarray]) -> None:
        """Copy the inputs of the next run to their places."""
        self.prepare()
        for value, x in zip(self._inputs, xs, strict=True):
            target: Any = value.resolve()
            if self._graph is None:
                np.copyto(target, x, casting="unsafe")
            else:
                target.copy_from(x if on_device(x) else np.asarray(x, target.dtype))

    def run(self) -> None:
        """Run all steps; on the device, as one graph from the second time on."""
        self.running = True
        try:
            calls = self.prepare()
            for function in self._before:
                function()
            if self._graph is not None:
                self._graph.run(calls, self.loss.kind if self.loss else None)
                return
            for call in calls:
                call()
        finally:
            self.running = False

    def outputs(self) -> list[np.ndarray]:
        """What the last run in inference gave; the next one overwrites it."""
        return [value.resolve() for value in self._outputs]


def _arrays_of(layers: Iterable[Layer],
               *kinds: str) -> Iterator[tuple[dict[str, np.ndarray], str, np.ndarray]]:
    """Every array of the layers: the dictionary that it is in, its name there, the array."""
    for layer in layers:
        for kind in kinds:
            store = getattr(layer, kind)
            yield from ((store, name, array) for name, array in store.items())
