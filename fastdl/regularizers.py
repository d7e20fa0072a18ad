"""Regularizers: penalties on large weights or activities, and their gradients.

`Trainer(weight_regularizer=…)` puts one on the weights, `layers.ActivityRegularization` on what
flows through a network. Names and definitions are Keras's: `L2` is ``l2 * sum(w²)``, whose gradient
is ``2 * l2 * w``; an optimizer's ``weight_decay`` adds ``weight_decay * w``, and to biases as well.
"""

import numpy as np

from .errors import ArgumentError


class L1L2:
    """Penalty ``l1 * sum(|w|) + l2 * sum(w ** 2)`` (elastic net, Zou & Hastie, 2005).

    Parameters
    ----------
    l1, l2 : factors of the two parts, from 0

    >>> both = L1L2(l1=0.1, l2=0.01)
    >>> w = np.array([3.0, -4.0, 0.0])
    >>> round(both.penalty(w), 6)
    0.95
    >>> both.gradient(w)
    array([ 0.16, -0.18,  0.  ])
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        for name, value in (("l1", l1), ("l2", l2)):
            if not 0 <= value < float("inf"):
                raise ArgumentError(f"{type(self).__name__}: {name} must be finite and at least 0, "
                                    f"got {value}")
        self.l1, self.l2 = float(l1), float(l2)

    def penalty(self, w: np.ndarray) -> float:
        """The penalty of an array."""
        return float(self.l1 * np.abs(w).sum() + self.l2 * np.square(w).sum())

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Its gradient, of the shape and dtype of `w`; that of ``|w|`` at 0 is 0."""
        gradient = w * w.dtype.type(2 * self.l2)
        if self.l1:
            gradient += np.sign(w) * w.dtype.type(self.l1)
        return gradient

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1:g}, l2={self.l2:g})"


class L1(L1L2):
    """Penalty ``l1 * sum(|w|)``: drives weights to exactly 0 (lasso, Tibshirani, 1996).

    Parameters
    ----------
    l1 : factor
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def __repr__(self) -> str:
        return f"L1({self.l1:g})"


class L2(L1L2):
    """Penalty ``l2 * sum(w ** 2)``: keeps weights small (ridge, Hoerl & Kennard, 1970).

    Parameters
    ----------
    l2 : factor
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def __repr__(self) -> str:
        return f"L2({self.l2:g})"


_BY_NAME = {"l1": L1, "l2": L2}


def get(regularizer: str | L1L2 | None) -> L1L2 | None:
    """The regularizer of that name, or the one given; None is none.

    >>> get("l2")
    L2(0.01)
    """
    if regularizer is None or isinstance(regularizer, L1L2):
        return regularizer
    try:
        return _BY_NAME[regularizer]()
    except (KeyError, TypeError):
        raise ArgumentError(f"unknown regularizer {regularizer!r}; there are: "
                            f"{', '.join(_BY_NAME)}, or an instance of a class of "
                            "fastdl.regularizers") from None
