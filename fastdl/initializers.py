"""Initial values of weights.

An initializer is a function of a shape that returns a float32 array. Weights are (out, in) or
(OC, C / groups, KH, KW); fan-in is the number of inputs that one output sums over.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from .errors import ArgumentError
from .random import generator

Initializer: TypeAlias = Callable[[tuple[int, ...]], np.ndarray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan-in, fan-out) of a weight.

    >>> fans((100, 784)), fans((16, 3, 5, 5))
    ((784, 100), (75, 400))
    """
    if len(shape) < 2:
        raise ArgumentError(f"fans: a weight has at least 2 dimensions, got {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _normal(shape: tuple[int, ...], std: float) -> np.ndarray:
    values = generator().standard_normal(shape, np.float32)
    values *= np.float32(std)
    return values


def _uniform(shape: tuple[int, ...], bound: float) -> np.ndarray:
    values = generator().random(shape, np.float32)
    values *= np.float32(2 * bound)
    values -= np.float32(bound)
    return values


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """All 0: right for biases, and it stops any layer of weights from learning."""
    return np.zeros(shape, np.float32)


def ones(shape: tuple[int, ...]) -> np.ndarray:
    """All 1."""
    return np.ones(shape, np.float32)


def gauss(std: float = 0.01) -> Initializer:
    """Normal distribution of standard deviation `std`."""
    return lambda shape: _normal(shape, std)


def xavier_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal, variance ``2 / (fan_in + fan_out)`` (Glorot & Bengio, 2010)."""
    return _normal(shape, math.sqrt(2 / sum(fans(shape))))


def xavier_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform of the same variance (Glorot & Bengio, 2010, eq. 16)."""
    return _uniform(shape, math.sqrt(6 / sum(fans(shape))))


def he_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Normal, variance ``2 / fan_in``: keeps the scale through ReLU (He et al., 2015)."""
    return _normal(shape, math.sqrt(2 / fans(shape)[0]))


def he_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform of the same variance."""
    return _uniform(shape, math.sqrt(6 / fans(shape)[0]))


def fan_in_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in ±1 / sqrt(fan_in): what PyTorch gives Linear and Conv layers."""
    return _uniform(shape, 1 / math.sqrt(max(fans(shape)[0], 1)))


_BY_NAME: dict[str, Initializer] = {
    "zeros": zeros, "ones": ones, "gauss": gauss(), "xavier": xavier_normal,
    "xavier_normal": xavier_normal, "xavier_uniform": xavier_uniform, "he": he_normal,
    "he_normal": he_normal, "he_uniform": he_uniform, "fan_in_uniform": fan_in_uniform}


def get(initializer: str | float | Initializer) -> Initializer:
    """The initializer of that name; a number is the standard deviation of `gauss`.

    >>> get("he") is he_normal
    True
    """
    if callable(initializer):
        return initializer
    if isinstance(initializer, str):
        try:
            return _BY_NAME[initializer]
        except KeyError:
            raise ArgumentError(f"unknown initializer {initializer!r}; there are: "
                                f"{', '.join(_BY_NAME)}, or a standard deviation") from None
    if not isinstance(initializer, int | float | np.number):
        raise ArgumentError("an initializer is a name, a standard deviation or a function, got "
                            f"{initializer!r}")
    return gauss(float(initializer))


def bias_for(weight_shape: tuple[int, ...], weight_init: str | float | Initializer,
             outputs: int | None = None) -> np.ndarray:
    """The bias that goes with a weight: PyTorch's random one with its default, else zeros."""
    shape = weight_shape[:1] if outputs is None else (outputs,)
    if weight_init != "fan_in_uniform":
        return zeros(shape)
    return _uniform(shape, 1 / math.sqrt(max(fans(weight_shape)[0], 1)))
