"""Dropout in Numba: each thread draws its random words where it needs them; no mask is stored.

Parallel over the generator's blocks of four words, so one counter serves four elements. All
integers are uint64, masked to 32 bits: Numba would turn uint64 with a signed integer into float64.
"""

import numpy as np
from numba import prange

from .._numba_jit import const_flat, helper, parallel, planar

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


@helper
def _philox4x32(block, k0, k1):
    """The four words of a block; the keys are words too, all held in uint64."""
    c0, c1, c2, c3 = block & _LOW, block >> _SHIFT, np.uint64(0), np.uint64(0)
    for _ in range(_ROUNDS):
        product_0, product_1 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        c0, c1, c2, c3 = ((product_1 >> _SHIFT) ^ c1 ^ k0, product_1 & _LOW,
                          (product_0 >> _SHIFT) ^ c3 ^ k1, product_0 & _LOW)
        k0, k1 = (k0 + _WEYL_0) & _LOW, (k1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@parallel
def _dropout(x, y, threshold, scale, k0, k1):
    zero = x.dtype.type(0)
    whole = x.size // 4
    x_blocks, y_blocks = x[:4 * whole].reshape(whole, 4), y[:4 * whole].reshape(whole, 4)
    for block in prange(whole):
        w0, w1, w2, w3 = _philox4x32(np.uint64(block), k0, k1)
        y_blocks[block, 0] = x_blocks[block, 0] * scale if w0 >= threshold else zero
        y_blocks[block, 1] = x_blocks[block, 1] * scale if w1 >= threshold else zero
        y_blocks[block, 2] = x_blocks[block, 2] * scale if w2 >= threshold else zero
        y_blocks[block, 3] = x_blocks[block, 3] * scale if w3 >= threshold else zero
    words = _philox4x32(np.uint64(whole), k0, k1)
    for i in range(4 * whole, x.size):
        y[i] = x[i] * scale if words[i - 4 * whole] >= threshold else zero


@planar("y")
def dropout(x, y, p, seed):
    _dropout(const_flat(x), y.reshape(-1), np.uint64(round(p * 2**32)), x.dtype.type(1 / (1 - p)),
             np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32))
