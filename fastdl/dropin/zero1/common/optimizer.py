"""The optimizers, whose learning rate is ``lr``; they update dicts of parameters in place."""

from typing import Any

import numpy as np

from ...engine import optimizers as _engine

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "np"]


class _Updates:
    def update(self, params: Any, grads: Any) -> None:
        """Take a step: `params` changes, `grads` has a gradient for each of its keys."""
        self._update(params, grads)     # type: ignore[attr-defined]


class SGD(_Updates, _engine.SGD):
    __doc__ = _engine.SGD.__doc__

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(lr)


class Momentum(_Updates, _engine.Momentum):
    __doc__ = _engine.Momentum.__doc__

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr, momentum)


class Nesterov(_Updates, _engine.Nesterov):
    __doc__ = _engine.Nesterov.__doc__

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr, momentum)


class AdaGrad(_Updates, _engine.AdaGrad):
    __doc__ = _engine.AdaGrad.__doc__

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(lr)


class RMSprop(_Updates, _engine.RMSprop):
    __doc__ = _engine.RMSprop.__doc__

    def __init__(self, lr: float = 0.01, decay_rate: float = 0.99) -> None:
        super().__init__(lr, decay_rate)


class Adam(_Updates, _engine.Adam):
    __doc__ = _engine.Adam.__doc__

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        super().__init__(lr, beta1, beta2)
