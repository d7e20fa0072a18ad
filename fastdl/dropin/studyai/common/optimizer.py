"""The optimizers, whose rate is ``learning_rate``; they update dicts of parameters in place."""

from typing import Any

import numpy as np

from ...engine import optimizers as _engine

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "np"]


class _Updates:
    _rate_name = "learning_rate"

    def update(self, params: Any, grad: Any) -> None:
        """Take a step: `params` changes, `grad` has a gradient for each of its keys."""
        self._update(params, grad)      # type: ignore[attr-defined]


class SGD(_Updates, _engine.SGD):
    __doc__ = _engine.SGD.__doc__

    def __init__(self, learning_rate: float = 0.01) -> None:
        super().__init__(learning_rate)


class Momentum(_Updates, _engine.Momentum):
    __doc__ = _engine.Momentum.__doc__

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(learning_rate, momentum)


class Nesterov(_Updates, _engine.Nesterov):
    """Momentum that looks ahead; here parameters move by the velocity after its update.

    ``v = momentum * v - lr * g; w += momentum**2 * v - (1 + momentum) * lr * g``.
    """

    _velocity_first = True

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(learning_rate, momentum)


class AdaGrad(_Updates, _engine.AdaGrad):
    __doc__ = _engine.AdaGrad.__doc__

    def __init__(self, learning_rate: float = 0.01) -> None:
        super().__init__(learning_rate)


class RMSprop(_Updates, _engine.RMSprop):
    __doc__ = _engine.RMSprop.__doc__

    def __init__(self, learning_rate: float = 0.01, decay_rate: float = 0.99) -> None:
        super().__init__(learning_rate, decay_rate)


class Adam(_Updates, _engine.Adam):
    __doc__ = _engine.Adam.__doc__

    def __init__(self, learning_rate: float = 0.001, beta1: float = 0.9,
                 beta2: float = 0.999) -> None:
        super().__init__(learning_rate, beta1, beta2)
