"""Dropout, blocks of the counter-based generator split among threads (native/kernel_dropout.h)."""

from ..native._native cimport *

cdef enum:
    ELEMENTS_PER_ITEM = 64          # PHILOX_LANES blocks of four
    PHILOX_WORK = 4                 # what a random word costs beside a plain pass over memory


def dropout(x, y, p, seed):
    """See reference.dropout."""
    cdef fd_dropout_args args
    cdef fd_dtype dtype = dtype_of(x)
    args.size = x.size
    args.x = buffer(x, dtype, args.size)
    args.y = buffer(y, dtype, args.size)
    args.seed = seed
    args.threshold = round(p * 2**32)
    args.scale = 1 / (1 - p)
    run(FD_dropout, dtype, &args, (args.size + ELEMENTS_PER_ITEM - 1) // ELEMENTS_PER_ITEM,
        <double> PHILOX_WORK * args.size)
