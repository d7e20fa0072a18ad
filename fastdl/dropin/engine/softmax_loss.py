"""The last layer: softmax, then cross-entropy."""

from typing import Any

from .functions import cross_entropy, d_softmax_cross_entropy


class SoftmaxLoss:
    """What the profiles' ``SoftmaxWithLoss`` share, whatever they call the targets.

    Attributes
    ----------
    loss : float
    y : (N, C) probabilities
    """

    _targets = ""               # the attribute with the targets

    def __init__(self) -> None:
        self.loss: Any = None
        self.y: Any = None
        setattr(self, self._targets, None)

    def _forward(self, y: Any, targets: Any) -> Any:
        setattr(self, self._targets, targets)
        self.y = y
        self.loss = cross_entropy(y, targets)
        return self.loss

    def backward(self, dout: Any = 1) -> Any:
        """Gradient of the scores; `dout` is left aside, as in the course."""
        return d_softmax_cross_entropy(self.y, getattr(self, self._targets))
