"""Dropout on the device: the mask of reference.py, four elements for each block of random words."""

import numpy as np

from ...cuda._device import (
    ZERO,
    blocks_for,
    cuda,
    device,
    float32,
    floats,
    in_fours,
    int64,
    kernel,
    load4,
    store4,
    uint64,
    ulongs,
)

# Of Philox4x32-10. Words are kept in 64-bit numbers, of which 32 bits are used.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_NOTHING = np.uint64(0)


@device
def _philox(block, seed):
    """The four words of a block."""
    c0, c1, c2, c3 = block & _LOW, block >> _32, _NOTHING, _NOTHING
    k0, k1 = seed & _LOW, seed >> _32
    for _ in range(10):
        product0, product1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = ((product1 >> _32) ^ c1 ^ k0, product1 & _LOW,
                          (product0 >> _32) ^ c3 ^ k1, product0 & _LOW)
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def _dropout(fours):
    """The kernel for arrays of whole fours, or for any."""
    @kernel(constants=(fours,))
    def dropout(x: floats, y: floats, n: int64, threshold: int64, scale: float32,
                seed: uint64, seeds: ulongs, number: int64):
        least = np.uint64(threshold)
        key = np.uint64(seeds[number] if number >= 0 else seed)
        for block in range(cuda.grid(1), (n + 3) // 4, cuda.gridsize(1)):
            words, i = _philox(np.uint64(block), key), 4 * block
            if fours:
                a = load4(x, i)
                store4(y, i, (a[0] * scale if words[0] >= least else ZERO,
                              a[1] * scale if words[1] >= least else ZERO,
                              a[2] * scale if words[2] >= least else ZERO,
                              a[3] * scale if words[3] >= least else ZERO))
            else:
                for k in range(4):
                    if i + k < n:
                        y[i + k] = x[i + k] * scale if words[k] >= least else ZERO

    return dropout


_by_one, _by_four = map(_dropout, (False, True))


def dropout(x, y, p, seed):
    """`seed` is a number, or an element of an array of the device, as a pair (array, index)."""
    seeds, number = seed if isinstance(seed, tuple) else (None, -1)
    value = 0 if number >= 0 else seed
    run = _by_four if in_fours(x.size, x, y) else _by_one
    run[blocks_for(-(-x.size // 4))](x, y, x.size, round(p * 2**32), 1 / (1 - p), value, seeds,
                                     number)
