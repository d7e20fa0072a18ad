"""The random generator of dropout against the answers that its authors published (Random123)."""

import numpy as np
import pytest

from fastdl import ops
from fastdl._kernels.dropout.reference import philox4x32, random_words

KNOWN_ANSWERS = [       # counter, key, words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(counter, key, words):
    actual = philox4x32([np.array([word], np.uint64) for word in counter], key)
    assert tuple(int(word[0]) for word in actual) == words


def test_stream_begins_with_the_known_block():
    assert tuple(random_words(6, seed=0)[:4]) == KNOWN_ANSWERS[0][2]


def test_stream_uses_the_seed_as_key_and_the_block_number_as_counter():
    seed = 0x299F31D0A4093822                   # low word first
    block = philox4x32([np.array([word], np.uint64) for word in (2, 0, 0, 0)],
                       (0xA4093822, 0x299F31D0))
    np.testing.assert_array_equal(random_words(12, seed)[8:], np.concatenate(block))


@pytest.mark.parametrize("backend", ["reference", "cython", "numba"])
def test_dropout_keeps_what_the_words_say(backend, need_backend):
    need_backend(backend)
    words = np.array(KNOWN_ANSWERS[0][2])
    p = 0.6                                     # 0x9999999A: keeps 0xE1..., 0xBC..., 0x9B...
    y = ops.dropout(np.ones(4), p, seed=0, backend=backend)
    np.testing.assert_array_equal(y > 0, words >= 0x9999999A)
    np.testing.assert_allclose(y[1:], 2.5)


def test_dropped_share():
    y = ops.dropout(np.ones(100_000), 0.3, seed=1)
    # Five standard deviations of a binomial.
    assert abs((y == 0).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 100_000)


@pytest.mark.parametrize("backend", ["cython", "numba", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [
    (2, 3, 4, 4), (3, 5, 7, 3), (1, 17, 1, 2), (2, 33, 9), (2, 40, 4, 3, 2), (0, 3, 2, 2),
    (2, 3, 0, 2), (1, 70, 31, 33), (4, 1, 2, 2)])
def test_channels_last_maps_drop_the_same_elements(shape, dtype, backend, rng, need_backend):
    """And the result has their layout, so that backward may meet the other one."""
    need_backend(backend)
    x = rng.standard_normal(shape).astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for p in (0.0, 0.3, 1.0):
        expected = ops.dropout(x, p, seed=2**63 + 12345, backend="reference")
        y = ops.dropout(last, p, seed=2**63 + 12345, backend=backend)
        np.testing.assert_array_equal(y, expected)
        assert y.strides == last.strides or y.size == 0
