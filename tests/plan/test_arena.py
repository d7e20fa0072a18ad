"""Places in the arena: what lives at once never overlaps, and little is wasted."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastdl.plan.arena import LINE, allocate, lifetimes, offsets
from fastdl.plan.step import Step
from fastdl.plan.value import Value

BYTE = np.dtype(np.uint8)


def step(*values):
    return Step("", "", print, values, "forward")


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 500)),
                max_size=30))
def test_what_lives_at_once_never_overlaps(lives):
    lives = {Value((size,), BYTE): (first, first + length) for first, length, size in lives}
    places, total = offsets(lives)
    for a, (first, last) in lives.items():
        assert places[a] % LINE == 0
        assert places[a] + a.nbytes <= total
        for b, (other_first, other_last) in lives.items():
            if a is not b and first <= other_last and other_first <= last and a.size and b.size:
                assert places[a] + a.nbytes <= places[b] or places[b] + b.nbytes <= places[a]
    alive = [sum(-(-v.nbytes // LINE) * LINE for v, (a, b) in lives.items() if a <= t <= b)
             for t in range(41)]
    assert total >= max(alive)


def test_memory_is_used_again():
    chain = [Value((1000,), BYTE) for _ in range(10)]
    steps = [step(a, b) for a, b in itertools.pairwise(chain)]
    _, total = offsets(lifetimes(steps, chain[:1], chain[-1:]))
    assert total == 2 * 1024                    # one is read while the next is written


def test_inputs_and_outputs_are_there_from_end_to_end():
    x, y, a, b = (Value((64,), BYTE) for _ in range(4))
    lives = lifetimes([step(a), step(a, y), step(b), step(b, x)], [x], [y])
    assert lives == {x: (-1, 3), a: (0, 1), y: (1, 4), b: (2, 3)}


def test_views_live_as_long_as_their_source():
    x = Value((2, 3), BYTE)
    assert lifetimes([step(x), step(), step(x.reshaped(6))], [], []) == {x: (0, 2)}


def test_arrays_of_others_take_no_place():
    w = np.arange(3.0)
    value = Value(w.shape, w.dtype, get=lambda: w)
    assert lifetimes([step(value)], [], []) == {}
    assert value.resolve() is w


def test_layouts():
    x = Value((2, 3, 4, 5), np.dtype(np.float32), channels_last=True)
    planes = Value((2, 3, 4, 5), np.dtype(np.float32))
    allocate(*offsets({x: (0, 1), planes: (0, 1)}))
    assert x.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert planes.array.flags.c_contiguous
    x.array[...] = np.arange(120).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(x.reshaped(2, 3, 20).resolve()[1, 2], np.arange(100, 120))
    np.testing.assert_array_equal(x.flat().resolve()[:3], [0, 20, 40])      # the first pixel
    assert x.array.ctypes.data % LINE == planes.array.ctypes.data % LINE == 0
