"""Losses: forward gives the mean over the batch, backward the gradient of the predictions."""

from typing import Any

import numpy as np

from . import ops
from .errors import ArgumentError, GraphError
from .ops._arrays import fraction
from .ops.loss import checked_targets


class Loss:
    """Base of the losses.

    A loss of your own defines `value` and `gradient`; if its targets are classes, also
    `count_correct`.
    """

    _saved: tuple[Any, ...] | None = None

    def value(self, y: np.ndarray, t: Any) -> tuple[float, tuple[Any, ...]]:
        """The loss, and what `gradient` needs."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def gradient(self, *saved: Any) -> np.ndarray:
        """Gradient with respect to y."""
        raise NotImplementedError(f"{type(self).__name__} does not define gradient")

    def count_correct(self, y: np.ndarray, t: Any) -> int | None:
        """How many samples are predicted right; None where that means nothing."""
        return None

    def forward(self, y: np.ndarray, t: Any) -> float:
        """Mean loss of the predictions `y` against the targets `t`."""
        loss, self._saved = self.value(y, t)
        return loss

    def backward(self) -> np.ndarray:
        """Gradient of the last `forward` with respect to y."""
        if self._saved is None:
            raise GraphError(f"{type(self).__name__}.backward: call forward first")
        return self.gradient(*self._saved)

    __call__ = forward


def _classes(t: Any) -> np.ndarray:
    """Class indices from indices or from distributions."""
    t = np.asarray(t)
    return t if t.ndim == 1 else t.argmax(axis=1)


class SoftmaxCrossEntropy(Loss):
    """Softmax and cross-entropy in one, from scores.

    ``y`` (N, C) scores; ``t`` (N,) class indices or (N, C) probabilities.

    Parameters
    ----------
    label_smoothing : share of the targets that is spread over all classes (Szegedy et al., 2016)

    >>> loss = SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((2, 10)), np.array([3, 5])), 6)
    2.302585
    >>> loss.backward().shape
    (2, 10)
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = fraction("SoftmaxCrossEntropy", "label_smoothing", label_smoothing,
                                        below_one=False)

    def smoothed(self, y: Any, t: Any) -> Any:
        """The targets, of predictions like `y`, that the loss is computed of."""
        share = self.label_smoothing
        if not share:
            return t
        t = np.asarray(t)
        if t.shape != y.shape:
            _, classes = checked_targets("softmax_cross_entropy", y, t)
            t = classes[:, None] == np.arange(y.shape[1])
        return (t * (1 - share) + share / y.shape[1]).astype(y.dtype)

    def value(self, y: np.ndarray, t: Any) -> tuple[float, tuple[Any, ...]]:
        loss, dy = ops.softmax_cross_entropy_with_gradient(y, self.smoothed(y, t))
        return loss, (dy,)

    def gradient(self, dy: np.ndarray) -> np.ndarray:
        return dy

    def count_correct(self, y: np.ndarray, t: Any) -> int:
        return int((y.argmax(axis=1) == _classes(t)).sum())


class CrossEntropy(Loss):
    """Cross-entropy of probabilities: ``-sum(t * log(y + eps))``, mean over the batch.

    ``y`` and ``t`` (N, C). After a softmax layer; `SoftmaxCrossEntropy` is faster and exact.

    Parameters
    ----------
    eps : added to the probabilities, against the logarithm of 0
    """

    def __init__(self, eps: float = 1e-7) -> None:
        self.eps = eps

    def value(self, y: np.ndarray, t: Any) -> tuple[float, tuple[Any, ...]]:
        return ops.cross_entropy(y, t, self.eps), (y, t)

    def gradient(self, y: np.ndarray, t: Any) -> np.ndarray:
        return ops.cross_entropy_backward(y, t, self.eps)

    def count_correct(self, y: np.ndarray, t: Any) -> int:
        return int((y.argmax(axis=1) == _classes(t)).sum())


class MSE(Loss):
    """Half the squared error, ``sum((y - t) ** 2) / 2``, mean over the batch.

    >>> MSE().forward(np.array([[1.0, 2.0]]), np.zeros((1, 2)))
    2.5
    """

    def value(self, y: np.ndarray, t: Any) -> tuple[float, tuple[Any, ...]]:
        return ops.mse(y, t), (y, t)

    def gradient(self, y: np.ndarray, t: Any) -> np.ndarray:
        return ops.mse_backward(y, t)


class BinaryCrossEntropy(Loss):
    """``-(t log y + (1 - t) log(1 - y))`` of probabilities, mean over all elements."""

    def value(self, y: np.ndarray, t: Any) -> tuple[float, tuple[Any, ...]]:
        return ops.binary_cross_entropy(y, t), (y, t)

    def gradient(self, y: np.ndarray, t: Any) -> np.ndarray:
        return ops.binary_cross_entropy_backward(y, t)

    def count_correct(self, y: np.ndarray, t: Any) -> int:
        right = (y > 0.5) == (np.asarray(t) > 0.5)
        return int(right.reshape(len(right), -1).all(axis=1).sum())


class WithAuxiliary(Loss):
    """The loss of a network's output, plus `weight` times that of each auxiliary output.

    So GoogLeNet was trained (Szegedy et al., 2014, section 5). Of a single output, as in
    inference, it is the loss itself.

    Parameters
    ----------
    loss : name, or `Loss`
    weight : of each auxiliary output

    >>> y, t = np.zeros((2, 10)), np.array([3, 5])
    >>> round(WithAuxiliary("softmax_cross_entropy").forward((y, y), t), 6)
    2.993361
    """

    def __init__(self, loss: "str | Loss", weight: float = 0.3) -> None:
        self.loss, self.weight = get(loss), weight

    def value(self, y: Any, t: Any) -> tuple[float, tuple[Any, ...]]:
        values, saved = zip(*(self.loss.value(each, t) for each in _outputs(y)), strict=True)
        return values[0] + self.weight * sum(values[1:]), saved

    def gradient(self, *saved: Any) -> Any:
        main, *others = (self.loss.gradient(*each) for each in saved)
        return (main, *(dy * dy.dtype.type(self.weight) for dy in others)) if others else main

    def count_correct(self, y: Any, t: Any) -> int | None:
        return self.loss.count_correct(_outputs(y)[0], t)


def _outputs(y: Any) -> tuple[np.ndarray, ...]:
    return y if isinstance(y, tuple) else (y,)


_BY_NAME: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy, "cross_entropy": CrossEntropy, "mse": MSE,
    "binary_cross_entropy": BinaryCrossEntropy}


def get(loss: str | Loss) -> Loss:
    """The loss of that name, or the loss given.

    >>> type(get("mse")).__name__
    'MSE'
    """
    if isinstance(loss, Loss):
        return loss
    try:
        return _BY_NAME[loss]()
    except (KeyError, TypeError):
        raise ArgumentError(f"unknown loss {loss!r}; there are: {', '.join(_BY_NAME)}, "
                            "or an instance of fastdl.losses.Loss") from None
