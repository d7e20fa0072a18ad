"""Kernels that do the same to each element, four elements at a time where they can."""

from functools import partial

from ._device import blocks_for, cuda, float32, floats, in_fours, int64, kernel, load4, store4

FOUR = 4


class Elementwise:
    """``y[i] = f(x[i])``, with one or two inputs and one option, or none; called with arrays.

    Parameters
    ----------
    f : function of the device: of the elements, then of a float32 option
    inputs : 1 or 2
    """

    def __init__(self, f, inputs, name):
        make = (_of_one, _of_two)[inputs - 1]
        self._plain, self._fast = make(f, name)

    def __call__(self, *arguments):
        *arrays, option = arguments
        n = arrays[0].size
        if in_fours(n, *arrays):
            self._fast[blocks_for(n // FOUR)](*arrays, n // FOUR, option)
        else:
            self._plain[blocks_for(n)](*arrays, n, option)


def elementwise(inputs, name):
    """Decorator: makes kernels of a function of the device."""
    return partial(Elementwise, inputs=inputs, name=name)


def _of_one(f, name):
    @kernel(constants=(name,))
    def plain(x: floats, y: floats, n: int64, option: float32):
        """One element after another."""
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            y[i] = f(x[i], option)

    @kernel(constants=(name,))
    def fast(x: floats, y: floats, quads: int64, option: float32):
        """Four by one load and one store."""
        for i in range(cuda.grid(1), quads, cuda.gridsize(1)):
            a = load4(x, FOUR * i)
            store4(y, FOUR * i, (f(a[0], option), f(a[1], option), f(a[2], option),
                                 f(a[3], option)))

    return plain, fast


def _of_two(f, name):
    @kernel(constants=(name,))
    def plain(u: floats, v: floats, y: floats, n: int64, option: float32):
        """One element after another."""
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            y[i] = f(u[i], v[i], option)

    @kernel(constants=(name,))
    def fast(u: floats, v: floats, y: floats, quads: int64, option: float32):
        """Four by one load of each and one store."""
        for i in range(cuda.grid(1), quads, cuda.gridsize(1)):
            a, b = load4(u, FOUR * i), load4(v, FOUR * i)
            store4(y, FOUR * i, (f(a[0], b[0], option), f(a[1], b[1], option),
                                 f(a[2], b[2], option), f(a[3], b[3], option)))

    return plain, fast
