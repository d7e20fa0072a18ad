"""A batch of training images on the device: a thread for each pixel of the result.

Images are planes; reference.py says what is done to them.
"""

import numpy as np

from ...cuda._device import blocks_for, cuda, divided, floats, int32, int64, kernel, longs, octets


def _crop(kind, name):
    """The kernel for images of this kind."""
    @kernel(constants=(name,))
    def crop(x: kind, rows: longs, top: longs, left: longs, mirror: longs, scale: floats,
             shift: floats, fill: floats, y: floats, n: int64, C: int32, H: int32, W: int32,
             OH: int32, OW: int32):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            rest, ow = divided(i, OW)
            rest, oh = divided(rest, OH)
            image, c = divided(rest, C)
            across = OW - 1 - ow if mirror[image] else ow
            # A crop that begins far away must not come back by an overflow.
            h = min(max(top[image], -OH), H) + oh
            w = min(max(left[image], -OW), W) + across
            if 0 <= h < H and 0 <= w < W:
                pixel = np.float32(x[((rows[image] * C + c) * H + h) * W + w])
                y[i] = scale[c] * pixel + shift[c]
            else:
                y[i] = fill[c]

    return crop


_BY_KIND = {np.dtype(np.uint8): _crop(octets, "octets"),
            np.dtype(np.float32): _crop(floats, "floats")}


def crop_mirror_normalize(x, rows, top, left, mirror, scale, shift, fill, y):
    _BY_KIND[x.dtype][blocks_for(y.size)](x, rows, top, left, mirror, scale, shift, fill, y, y.size,
                                          *x.shape[1:], *y.shape[2:])
