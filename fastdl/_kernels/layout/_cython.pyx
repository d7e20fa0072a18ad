"""Copies of feature maps: parts of the pixels split among threads (native/kernel_layout.h)."""

from ..native._native cimport *

cdef enum:
    PART_BYTES = 1 << 17            # what an item reads and writes stays near


def copy_maps(x, y):
    """See reference.copy_maps."""
    cdef fd_layout_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef bint from_pixels = is_channels_last(x)
    cdef Py_ssize_t N = x.shape[0], size = x.size
    args.to_pixels = is_channels_last(y)
    if x.shape != y.shape:
        raise ValueError(f"native kernel: copy_maps of {x.shape} to {y.shape}")
    args.x = dense(x, dtype, size, from_pixels)
    args.y = dense(y, dtype, size, args.to_pixels)
    if size == 0:
        return
    args.C, args.L = x.shape[1], size // (N * x.shape[1])
    if from_pixels == args.to_pixels:           # they lie alike
        N, args.C, args.L = 1, 1, size
    args.parts = ceil_div(args.C * args.L * <Py_ssize_t> x.itemsize, PART_BYTES)
    run(FD_copy_maps, dtype, &args, N * args.parts, 2.0 * size)
