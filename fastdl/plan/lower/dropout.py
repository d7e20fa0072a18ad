"""Dropout: in training a fresh seed at each run, from which both passes make the mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._kernels import _dispatch
from ...layers.dropout import Dropout
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
        self.mask = _Mask(_dispatch.kernel("dropout", plan.like), layer.p)
        y = plan.new(x.shape, like=x)
        plan.run("dropout", self.mask.forward, _pixels(x), _pixels(y))
        return y

    def backward(self, dy: Value) -> None:
        plan, (source,), x = self.plan, self.head.inputs, self.sources[0]
        dx = dy
        if self.active:
            dy = plan.laid_out(dy, x.channels_last)
            dx = plan.new(x.shape, like=x)
            plan.run("dropout", self.mask.backward, _pixels(dy), _pixels(dx))
        plan.give(source, dx)


class _Mask:
    """The elements that one run drops."""

    def __init__(self, kernel: Callable[..., None], p: float) -> None:
        self._kernel, self._p, self._seed = kernel, p, 0

    def forward(self, x: np.ndarray, y: np.ndarray) -> None:
        self._seed = draw_seed()
        self.backward(x, y)

    def backward(self, dy: np.ndarray, dx: np.ndarray) -> None:
        if self._p == 1:
            dx.fill(0)
        else:
            self._kernel(dy, dx, self._p, self._seed)


def _pixels(x: Value) -> Value:
    """Channels-last maps as (N, C, 1, L); others as they are."""
    if not x.channels_last:
        return x
    N, C = x.shape[:2]
    shape = (N, C, 1, x.size // max(1, N * C))
    return x.view(lambda array: array.reshape(shape), shape)
