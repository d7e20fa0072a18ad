"""Branches that are dropped, or weighed, at random.

Each call in training draws a seed from `fastdl.random`; what it decides follows from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ops._arrays import fraction
from ..random import draw_seed
from .layer import Layer

Params = Mapping[str, np.ndarray]


def _draws() -> np.random.Generator:
    return np.random.default_rng(draw_seed())


def _one_each(x: np.ndarray, mode: str) -> tuple[int, ...]:
    """The shape of a number for each sample, or of one for all."""
    return (len(x) if mode == "row" else 1, *(1,) * (x.ndim - 1))


def _checked_mode(layer: str, mode: str) -> str:
    if mode not in ("batch", "row"):
        raise ArgumentError(f"{layer}: mode must be 'batch' or 'row', got {mode!r}")
    return mode


def _alike(layer: str, inputs: tuple[np.ndarray, ...], count: int | None = None) -> None:
    shapes = [np.shape(x) for x in inputs]
    if len(set(shapes)) != 1 or (count is not None and len(shapes) != count):
        wanted = "inputs" if count is None else f"{count} inputs"
        raise ShapeError(f"{layer}: takes {wanted} of one shape, got "
                         f"{', '.join(map(str, shapes))}")


class StochasticDepth(Layer):
    """In training, set samples to 0 with probability `p`, divide the others by ``1 - p``.

    At the end of a residual branch, before the addition, it drops the branch (Huang et al., 2016).

    Parameters
    ----------
    p : probability of being dropped, from 0 to 1
    mode : "row" for each sample by itself, "batch" for all of them together

    >>> StochasticDepth(0.5, "row").eval().forward(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        self.p = fraction("StochasticDepth", "p", p, below_one=False)
        self.mode = _checked_mode("StochasticDepth", mode)

    def factors(self, samples: int, dtype: np.dtype) -> np.ndarray:
        """What samples are multiplied by, drawn anew."""
        survives = _draws().random(samples if self.mode == "row" else 1) >= self.p
        kept = survives.astype(dtype) / dtype.type(1 - self.p if self.p < 1 else 1)
        return np.broadcast_to(kept, samples)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Params,
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        if not training or self.p == 0:
            return x, None
        factors = self.factors(len(x), x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        return x * factors, factors

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy if saved is None else dy * saved,), {}

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode!r}"


class DropPath(Layer):
    """Mean of inputs of one shape, of which training drops some, but never all (FractalNet).

    Local drop-path of Larsson et al. (2017): each input is dropped with probability `p`; if that
    would leave none, one is kept.

    Parameters
    ----------
    p : probability of being dropped
    mode : "batch" for all samples together, as the paper has it, "row" for each by itself

    >>> DropPath(0.15).eval().forward(np.zeros(2), np.ones(2))
    array([0.5, 0.5])
    """

    def __init__(self, p: float = 0.15, mode: str = "batch") -> None:
        self.p = fraction("DropPath", "p", p, below_one=False)
        self.mode = _checked_mode("DropPath", mode)

    def shares(self, count: int, x: np.ndarray, training: bool) -> np.ndarray:
        """For each input the factors of its samples; over the inputs they sum to 1."""
        if not training:
            return np.full((count, *_one_each(x, "batch")), 1 / count, x.dtype)
        draws, shape = _draws(), _one_each(x, self.mode)
        kept = draws.random((count, *shape)) >= self.p
        one = draws.integers(0, count, shape)
        kept |= ~kept.any(axis=0) & (np.arange(count).reshape(-1, *(1,) * x.ndim) == one)
        return np.divide(kept, kept.sum(axis=0)).astype(x.dtype)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Params,
              training: bool) -> tuple[np.ndarray, Any]:
        _alike("DropPath", inputs)
        shares = self.shares(len(inputs), np.asarray(inputs[0]), training)
        return sum(x * share for x, share in zip(inputs, shares, strict=True)), shares

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return tuple(dy * share for share in saved), {}

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode!r}"


class Swapout(Layer):
    """Sum of a block's input and its output, elements of both dropped (Singh et al., 2016).

    In training an element of the first input is there with probability ``1 - p1``, one of the
    second with ``1 - p2``; elsewhere these are factors. So it is a residual connection, or either
    side of it, or 0.

    Parameters
    ----------
    p1, p2 : probabilities of being dropped

    >>> Swapout(0.5, 0.0).eval().forward(np.array([2.0]), np.array([1.0]))
    array([2.])
    """

    def __init__(self, p1: float = 0.5, p2: float = 0.5) -> None:
        self.p1 = fraction("Swapout", "p1", p1, below_one=False)
        self.p2 = fraction("Swapout", "p2", p2, below_one=False)

    def _masks(self, seed: int | None, x: np.ndarray) -> tuple[Any, Any]:
        if seed is None:
            return x.dtype.type(1 - self.p1), x.dtype.type(1 - self.p2)
        draws = np.random.default_rng(seed)
        return tuple(draws.random(x.shape, np.float32) >= p             # type: ignore[return-value]
                     for p in (self.p1, self.p2))

    def apply(self, inputs: tuple[np.ndarray, ...], params: Params,
              training: bool) -> tuple[np.ndarray, Any]:
        _alike("Swapout", inputs, 2)
        x, y = inputs
        seed = draw_seed() if training else None
        first, second = self._masks(seed, x)
        return x * first + y * second, seed

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        first, second = self._masks(saved, dy)
        return (dy * first, dy * second), {}

    def extra_repr(self) -> str:
        return f"p1={self.p1}, p2={self.p2}"


class ShakeShake(Layer):
    """Two branches weighed at random, otherwise on the way back (Gastaldi, 2017).

    Forward ``a * x1 + (1 - a) * x2``, backward ``b`` in place of ``a``, both uniform in [0, 1];
    outside of training both are 1/2. So in training the gradient is none of this function.

    Parameters
    ----------
    mode : "row" draws for each sample ("image"), "batch" for all together

    >>> ShakeShake().eval().forward(np.zeros(1), np.ones(1))
    array([0.5])
    """

    def __init__(self, mode: str = "row") -> None:
        self.mode = _checked_mode("ShakeShake", mode)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Params,
              training: bool) -> tuple[np.ndarray, Any]:
        _alike("ShakeShake", inputs, 2)
        x1, x2 = inputs
        shares = np.full((2, *_one_each(x1, self.mode)), 0.5, x1.dtype)
        if training:
            shares[...] = _draws().random(shares.shape)
        a, b = shares
        return a * x1 + (1 - a) * x2, b

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (saved * dy, (1 - saved) * dy), {}

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"


class ShakeDrop(Layer):
    """A residual branch kept, or weighed at random (Yamada et al., 2019).

    With probability ``1 - p`` a branch passes as it is. Otherwise it is multiplied by a number
    that is uniform in `alpha`, and its gradient by one that is uniform in `beta`. Outside of
    training its factor is the expected one.

    Parameters
    ----------
    p : probability of being weighed
    alpha, beta : ranges of the factors, forward and backward
    mode : "batch" draws for all samples together, "row" for each by itself

    >>> ShakeDrop(0.5).eval().forward(np.ones(1))
    array([0.5])
    """

    def __init__(self, p: float, alpha: tuple[float, float] = (-1.0, 1.0),
                 beta: tuple[float, float] = (0.0, 1.0), mode: str = "batch") -> None:
        self.p = fraction("ShakeDrop", "p", p, below_one=False)
        self.alpha, self.beta = tuple(alpha), tuple(beta)
        self.mode = _checked_mode("ShakeDrop", mode)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Params,
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        if not training:
            factor = x.dtype.type(1 - self.p + self.p * sum(self.alpha) / 2)
            return x * factor, factor
        draws, shape = _draws(), _one_each(x, self.mode)
        weighed = draws.random(shape) < self.p
        forward, backward = (np.where(weighed, draws.uniform(low, high, shape), 1).astype(x.dtype)
                             for low, high in (self.alpha, self.beta))
        return x * forward, backward

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy * saved,), {}

    def extra_repr(self) -> str:
        return f"p={self.p}, alpha={self.alpha}, beta={self.beta}, mode={self.mode!r}"
