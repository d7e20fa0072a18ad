"""Dropout, runs of elements split among threads (native/kernel_dropout.h)."""

from ..native._native cimport *

cdef enum:
    CHUNK = 64                      # PHILOX_CHUNK, elements of an item
    PHILOX_WORK = 4                 # what a random word costs beside a plain pass over memory


def dropout(x, y, p, seed):
    """See reference.dropout."""
    cdef fd_dropout_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef double work = <double> PHILOX_WORK * x.size
    threshold = round(p * 2**32)
    if threshold == 2**32:              # no word is kept, and none could be compared with it
        y[...] = 0
        return
    args.seed, args.threshold, args.scale = seed, threshold, 1 / (1 - p)
    if is_channels_last(x):
        N, args.channels, H, W = x.shape
        args.x = maps4(x, dtype, N, args.channels, H, W, True)
        args.y = maps4(y, dtype, N, args.channels, H, W, True)
        args.pixels = H * W
        # Runs of four pixels share the blocks of words that a single pixel has for itself.
        share = 1 if args.pixels % 4 else 4
        run(FD_dropout_channels_last, dtype, &args, N * args.pixels // share, work * 4 / share)
        return
    args.size = x.size
    args.x = buffer(x, dtype, args.size)
    args.y = buffer(y, dtype, args.size)
    run(FD_dropout, dtype, &args, (args.size + CHUNK - 1) // CHUNK, work)
