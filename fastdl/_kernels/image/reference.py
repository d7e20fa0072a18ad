"""A batch of training images in one pass over memory: gathered, cropped, mirrored, normalised."""

import numpy as np


def crop_mirror_normalize(x, rows, top, left, mirror, scale, shift, fill, y):
    """Fill ``y[n] = scale * crop(x[rows[n]]) + shift``, channel by channel.

    x (M, C, H, W) is of y's dtype, or uint8; y is (N, C, OH, OW). Either may be channels-last,
    whatever the other is. rows (N,) is int64 in [0, M); top, left and mirror (N,) are int64; scale,
    shift and fill (C,) are of y's dtype.

    y's pixel (i, j) is the image's pixel (top + i, left + j), or (top + i, left + OW - 1 - j) where
    mirror is not 0. A pixel outside of the image has the value fill, which is not normalised.
    """
    H, W = x.shape[2:]
    OH, OW = y.shape[2:]
    for n, row in enumerate(rows):
        h = top[n] + np.arange(OH)[:, None]
        w = left[n] + (np.arange(OW)[::-1] if mirror[n] else np.arange(OW))
        inside = (h >= 0) & (h < H) & (w >= 0) & (w < W)
        pixels = x[row][:, h.clip(0, H - 1), w.clip(0, W - 1)]
        normalized = scale[:, None, None] * pixels + shift[:, None, None]
        y[n] = np.where(inside, normalized, fill[:, None, None])
