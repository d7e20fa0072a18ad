"""Dropout (Srivastava et al., 2014), inverted: kept values are divided by 1 - p.

The mask is a function of (seed, element index) alone, so every backend and every number of
threads drops the same elements, and the backward pass is the same function applied to ``dy``:
nothing is saved but the seed. An element's index is its place in C order, in whatever order the
array lies in memory: channels-last maps drop what the same maps in NCHW drop.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011). Element i uses word ``i % 4`` of the block with counter ``i // 4`` (low word first, upper
two words 0) and key ``seed`` (low word first). It is kept when ``word >= round(p * 2**32)``.
"""

import numpy as np

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox4x32(counter, key):
    """Philox4x32-10: four uint32 arrays from four counter words (uint64) and two key words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((product1 >> _SHIFT) ^ c1 ^ np.uint64(k0), product1 & _LOW,
                          (product0 >> _SHIFT) ^ c3 ^ np.uint64(k1), product0 & _LOW)
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return tuple(word.astype(np.uint32) for word in (c0, c1, c2, c3))


def random_words(size, seed):
    """The first `size` uint32 words of the stream of `seed`."""
    block = np.arange((size + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(block)
    words = philox4x32((block & _LOW, block >> _SHIFT, zero, zero), (seed & 0xFFFFFFFF, seed >> 32))
    return np.stack(words, axis=-1).reshape(-1)[:size]


def dropout(x, y, p, seed):
    """Fill ``y = x / (1 - p)`` where the element is kept, else 0. ``0 <= p < 1``, 64-bit `seed`."""
    keep = random_words(x.size, seed) >= round(p * 2**32)
    scale = x.dtype.type(1 / (1 - p))
    y[...] = np.where(keep.reshape(x.shape), x * scale, x.dtype.type(0))
