"""The same values in awkward memory."""

import numpy as np


def transposed(a):
    return np.ascontiguousarray(a.T).T


def rows_apart(a):
    """The last axis is contiguous, and lies in something wider."""
    wide = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype) if a.ndim else a
    wide[..., 1:-2] = a
    return wide[..., 1:-2]


def channels_last(a):
    """(N, C, ...) as (N, ..., C) in memory; other arrays as they are."""
    return np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) if a.ndim > 2 else a


def sliced(a):
    """Every second element of something wider, one step in."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 1), a.dtype)
    wide[..., 1::2] = a
    return wide[..., 1::2]


def reversed_(a):
    """Negative strides along every axis."""
    everywhere = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[everywhere])[everywhere]


def misaligned(a):
    """One byte off every boundary."""
    raw = np.zeros(a.nbytes + 1, np.uint8)
    out = raw[1:].view(a.dtype).reshape(a.shape)
    out[...] = a
    return out


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def byte_swapped(a):
    # An argmax must have the very dtype that the forward pass gave it.
    return a.astype(a.dtype.newbyteorder()) if a.dtype.kind == "f" else a


# The first are copied before a kernel runs; the others may reach it as they are.
COPIED = [sliced, reversed_, misaligned, read_only, byte_swapped]
KEPT = [transposed, rows_apart, channels_last]
