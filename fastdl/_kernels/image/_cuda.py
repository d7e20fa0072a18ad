"""A batch of training images on the device: a thread for each pixel of a result, all its channels.

Images are planes; reference.py says what is done to them.
"""

import numpy as np

from ...cuda._device import (
    THREADS,
    cuda,
    divided,
    floats,
    inside,
    int32,
    kernel,
    longs,
    octets,
)

_IMAGES = 32768                         # that are done at once, at most


def _crop(kind, name):
    """The kernel for images of this kind."""
    @kernel(constants=(name,))
    def crop(x: kind, rows: longs, top: longs, left: longs, mirror: longs, scale: floats,
             shift: floats, fill: floats, y: floats, N: int32, C: int32, H: int32, W: int32,
             OH: int32, OW: int32):
        pixel, image = cuda.grid(1), cuda.blockIdx.y
        if pixel >= OH * OW:
            return
        oh, ow = divided(pixel, OW)
        while image < N:
            across = OW - 1 - ow if mirror[image] else ow
            # A crop that begins far away must not come back by an overflow.
            h = min(max(top[image], -OH), H) + oh
            w = min(max(left[image], -OW), W) + across
            here, there = image * C * OH * OW + pixel, (rows[image] * C * H + h) * W + w
            for c in range(C):
                value = fill[c]
                if inside(h, H) and inside(w, W):
                    value = scale[c] * np.float32(x[there]) + shift[c]
                y[here] = value
                here, there = here + OH * OW, there + H * W
            image += cuda.gridDim.y

    return crop


_BY_KIND = {np.dtype(np.uint8): _crop(octets, "octets"),
            np.dtype(np.float32): _crop(floats, "floats")}


def crop_mirror_normalize(x, rows, top, left, mirror, scale, shift, fill, y):
    N, C, OH, OW = y.shape
    _BY_KIND[x.dtype][-(-OH * OW // THREADS), min(N, _IMAGES)](
        x, rows, top, left, mirror, scale, shift, fill, y, N, C, *x.shape[2:], OH, OW)
