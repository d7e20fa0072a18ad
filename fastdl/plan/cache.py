"""The plans of a network: one for each shape, dtype and choice of kernels, and not many."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from .._kernels._dispatch import wishes_in_force
from ..backend import get_conv_algorithm
from ..graph import Graph, Seen
from ..layers.layer import Layer
from ..losses import Loss
from .lower.rule import NotPlannableError, known
from .plan import Plan

LIMIT = 8               # plans of one network; each has memory of its own,
MEMORY = 1 << 30        # of which all but the last may have so many bytes


class Plans:
    """The plans of one graph; those not used for long are let go.

    Parameters
    ----------
    graph : Graph
    paths : names of its layers, for people

    Attributes
    ----------
    lock : threading.RLock
        To be held around a run: a plan's memory is for one at a time.
    """

    def __init__(self, graph: Graph, paths: Mapping[Layer, str]) -> None:
        self.lock = threading.RLock()
        self._graph, self._paths = graph, paths
        self._layers = graph.layers()
        self._own = [layer for layer in self._layers if known(layer) is None]
        self._seen: OrderedDict[Hashable, Seen] = OrderedDict()
        self._plans: OrderedDict[Hashable, Plan | None] = OrderedDict()
        self._reasons: dict[Hashable, str] = {}

    def learn(self, xs: Sequence[np.ndarray], seen: Seen) -> None:
        """What a run layer by layer has shown; layers of the user's own say it in no other way."""
        if self._own:
            self._seen[_kinds(xs)] = seen
            while len(self._seen) > LIMIT:
                self._seen.popitem(last=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Plans, (self._graph, self._paths)        # a copy makes plans of its own

    def get(self, xs: Sequence[np.ndarray], loss: Loss | None = None) -> Plan | None:
        """The plan for inputs like `xs`: a training step if there is a loss, else inference.

        None where the network must run layer by layer: an empty batch, dtypes that differ; with a
        layer of the user's own, for the first batch of a shape; where this plan is running
        already, and one of its layers asks.
        """
        kinds = _kinds(xs)
        if len(xs) != len(self._graph.inputs) or (self._own and kinds not in self._seen):
            return None
        # No tuple: CPython 3.11 keeps each one of 20 that is freed, up to 2,000 of them.
        modes = bytes([layer.training for layer in self._layers]) if loss else None
        key = (kinds, modes, id(loss), wishes_in_force(), get_conv_algorithm())
        try:
            plan = self._plans[key]
        except KeyError:
            plan = self._add(key, xs, loss)
        if plan is not None and not plan.is_current():
            plan = self._add(key, xs, loss)
        self._plans.move_to_end(key)
        return None if plan is None or plan.running else plan

    def reason(self, xs: Sequence[np.ndarray]) -> str:
        """Why there is no plan for inputs like `xs`."""
        if len(xs) != len(self._graph.inputs):
            return f"it has {len(self._graph.inputs)} inputs, got {len(xs)}"
        if self._own and _kinds(xs) not in self._seen:
            return (f"{self._own[0]!r} is a layer of your own; run the network once on such a "
                    "batch, and it can be planned")
        return self._reasons.get(_kinds(xs), "its plan is running")

    def _add(self, key: Hashable, xs: Sequence[np.ndarray], loss: Loss | None) -> Plan | None:
        try:
            dtype, seen = self._dtype(xs), self._seen.get(_kinds(xs))
            plan = Plan(self._graph, [x.shape for x in xs], dtype, self._paths, loss, seen)
        except NotPlannableError as error:
            plan = None
            self._reasons[_kinds(xs)] = str(error)
        self._plans[key] = plan
        self._plans.move_to_end(key)
        memory = [0 if kept is None else kept.arena_bytes for kept in self._plans.values()]
        while len(self._plans) > 1 and (len(self._plans) > LIMIT or sum(memory) > MEMORY):
            self._plans.popitem(last=False)
            del memory[0]
        return plan

    def _dtype(self, xs: Sequence[np.ndarray]) -> np.dtype:
        """The one of the parameters, or else of the inputs."""
        dtypes = {array.dtype for layer in self._layers
                  for store in (layer.params, layer.buffers) for array in store.values()
                  if array.dtype.kind == "f"} or {x.dtype for x in xs}
        if len(dtypes) > 1 or min(dtypes).char not in "efd" or not all(x.size for x in xs):
            raise NotPlannableError("an empty batch, or more than one dtype: "
                                    f"{', '.join(sorted(map(str, dtypes)))}")
        if any(x.dtype.kind not in "fbiu" for x in xs):
            raise NotPlannableError(f"inputs of dtype {xs[0].dtype}")
        if self._own and any(x.dtype.kind != "f" for x in xs):
            raise NotPlannableError(f"{self._own[0]!r} may want integers as they are")
        return dtypes.pop()


def _kinds(xs: Sequence[np.ndarray]) -> Hashable:
    return tuple([(x.shape, x.dtype.char) for x in xs])
