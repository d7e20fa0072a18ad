"""What layers with a weight and a bias share."""

from typing import Any

import numpy as np

from .. import initializers
from .layer import Layer


class WeightedLayer(Layer):
    """Base of layers that have ``weight`` and perhaps ``bias``, and save ``(x, params)``.

    A subclass defines `apply`, and `gradients` by its backward operation.
    """

    def add_weights(self, shape: tuple[int, ...], bias: bool,
                    weight_init: str | float | initializers.Initializer,
                    outputs: int | None = None) -> None:
        """Make the weight of `shape` and the bias that goes with it.

        There are as many biases as rows of the weight, unless `outputs` says otherwise.
        """
        self.add_parameter("weight", initializers.get(weight_init)(shape))
        if bias:
            self.add_parameter("bias", initializers.bias_for(shape, weight_init, outputs))

    def gradients(self, dy: np.ndarray, x: np.ndarray, weight: np.ndarray, *, bias: bool,
                  need_dx: bool) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
        """Gradients ``(dx, dw, db)``; None for what is not asked for."""
        raise NotImplementedError(f"{type(self).__name__} does not define gradients")

    def _grad(self, dy: np.ndarray, saved: Any, need_dx: bool) -> Any:
        x, params = saved
        dx, dw, db = self.gradients(dy, x, params["weight"], bias="bias" in params,
                                    need_dx=need_dx)
        return (dx,), {"weight": dw} if db is None else {"weight": dw, "bias": db}

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return self._grad(dy, saved, need_dx=True)

    def param_grads(self, dy: np.ndarray, saved: Any) -> dict[str, np.ndarray]:
        return self._grad(dy, saved, need_dx=False)[1]
