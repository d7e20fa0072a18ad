"""Dropout: in training a fresh seed at each run, from which both passes make the mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._kernels import _dispatch
from ...layers.dropout import Dropout
from ...ops._arrays import Array, empty
from ...random import draw_seed
from ..value import Value
from .rule import Rule, lowers


@lowers(Dropout)
class DropoutRule(Rule):
    """Nothing at all in inference."""

    @property
    def is_view(self) -> bool:
        return not self.active

    def forward(self) -> Value:
        plan, x, layer = self.plan, self.sources[0], self.layer
        self.active = plan.training and layer.training and layer.p > 0
        if not self.active:
            return x
        self.mask: Any = Mask(_dispatch.kernel("dropout", plan.like), layer.p)
        y = plan.new(x.shape, like=x)
        if plan.on_device:              # where a seed is drawn before the run, not inside of it
            self.mask = MaskOnDevice(self.mask, plan.like)
            plan.before.append(self.mask.draw)
        plan.run("dropout", self.mask.forward, _pixels(x), _pixels(y), able=True)
        return y

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        dx = dy
        if self.active:
            dy = plan.laid_out(dy, x.channels_last)
            dx = plan.new(x.shape, like=x)
            plan.run("dropout", self.mask.backward, _pixels(dy), _pixels(dx), able=True)
        plan.give(source, dx)


class Mask:
    """The elements that one run drops."""

    def __init__(self, kernel: Callable[..., None], p: float) -> None:
        self.kernel, self.p = kernel, p
        self.seed: Any = 0

    def forward(self, x: Array, y: Array) -> None:
        """Drop others than before."""
        self.seed = draw_seed()
        self.backward(x, y)

    def backward(self, dy: Array, dx: Array) -> None:
        """Drop the same."""
        if self.p == 1:
            dx.fill(0)
        else:
            self.kernel(dy, dx, self.p, self.seed)


class MaskOnDevice(Mask):
    """The same in a graph, whose calls are fixed: the seed lies on the device, too."""

    def __init__(self, mask: Mask, like: Array) -> None:
        super().__init__(mask.kernel, mask.p)
        self._array: Any = empty((1,), np.uint64, like)
        self.seed = self._array, 0

    def draw(self) -> None:
        """The seed of the next run."""
        self._array.copy_from(np.array([draw_seed()], np.uint64))

    def forward(self, x: Array, y: Array) -> None:
        self.backward(x, y)


def _pixels(x: Value) -> Value:
    """Channels-last maps as (N, C, 1, L); others as they are."""
    if not x.channels_last:
        return x
    N, C = x.shape[:2]
    shape = (N, C, 1, x.size // max(1, N * C))
    return x.view(lambda array: array.reshape(shape), shape)
