"""Arrays of a plan before there is memory for them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..ops._arrays import channels_to_end, channels_to_front

Array = np.ndarray


class Value:
    """An array that steps of a plan read and write.

    It is somebody else's (a parameter of a layer), or it gets a place in the arena, or it is a view
    of another value.

    Attributes
    ----------
    shape, dtype
        As of the array. Feature maps are (N, C, ...) wherever their channels lie.
    channels_last : bool
        Whether (N, C, ...) lies in memory as (N, ..., C).
    array : numpy.ndarray or None
        None until the plan is laid out.

    Parameters
    ----------
    get : for an array that is somebody else's, a function that returns it
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, channels_last: bool = False,
                 get: Callable[[], Array] | None = None) -> None:
        self.shape, self.dtype, self.channels_last = shape, dtype, channels_last
        self.array: Array | None = None
        self._get = get
        self._source: Value | None = None

    @property
    def ndim(self) -> int:
        """As of the array."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """As of the array."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """As of the array."""
        return self.size * self.dtype.itemsize

    @property
    def root(self) -> Value:
        """The value whose memory this one has."""
        return self._source.root if self._source else self

    @property
    def in_arena(self) -> bool:
        """Whether it wants a place there."""
        return self._get is None

    # ---- views ----

    def view(self, look: Callable[[Array], Array], shape: tuple[int, ...]) -> Value:
        """The value of `shape` that `look` makes of this one's array, without a copy."""
        value = Value(shape, self.dtype, get=lambda: look(self.resolve()))
        value._source = self
        return value

    def reshaped(self, *shape: int) -> Value:
        """The same elements in the same order; of channels-last maps, (N, C, L)."""
        return self.view(lambda array: array.reshape(shape), shape)

    def flat(self) -> Value:
        """All elements as they lie in memory."""
        def look(array: Array) -> Array:
            return (channels_to_end(array) if self.channels_last else array).reshape(-1)
        return self.view(look, (self.size,))

    def columns(self, begin: int, end: int) -> Value:
        """Some columns of a matrix; between its rows there are gaps."""
        return self.view(lambda array: array[:, begin:end], (self.shape[0], end - begin))

    # ---- memory ----

    def place(self, arena: Array, offset: int) -> None:
        """Take the bytes of `arena` from `offset` on."""
        memory = arena[offset:offset + self.nbytes].view(self.dtype)
        if self.channels_last:
            N, C, *spatial = self.shape
            self.array = channels_to_front(memory.reshape(N, *spatial, C))
        else:
            self.array = memory.reshape(self.shape)

    def resolve(self) -> Array:
        """The array; what is not in the arena is fetched when it is first asked for."""
        if self.array is None:
            assert self._get is not None, "asked for before the plan was laid out"
            self.array = self._get()
            assert self.array.shape == self.shape
        return self.array

    def __repr__(self) -> str:
        last = ", channels last" * self.channels_last
        return f"<value {self.shape} {self.dtype}{last}>"
