"""Images of a batch split among threads (native/kernel_image.h)."""

from ..native._native cimport *


def crop_mirror_normalize(x, rows, top, left, mirror, scale, shift, fill, y):
    """See reference.crop_mirror_normalize."""
    cdef fd_image_args args
    cdef fd_dtype dtype = dtype_of(y)
    cdef Py_ssize_t N, M, n
    N, args.C, args.OH, args.OW = y.shape
    M, _, args.H, args.W = x.shape
    args.y = maps4(y, dtype, N, args.C, args.OH, args.OW, is_channels_last(y))
    args.y_channels_last = is_channels_last(y)
    args.x_channels_last = is_channels_last(x)
    args.x_bytes = x.dtype == "uint8"
    if args.x_bytes:
        pixels = x.transpose(0, 2, 3, 1) if args.x_channels_last else x
        args.x = integers(pixels, M * args.C * args.H * args.W, 1)
    else:
        args.x = maps4(x, dtype, M, args.C, args.H, args.W, args.x_channels_last)
    args.rows = <const int64_t *> integers(rows, N, 8)
    args.top = <const int64_t *> integers(top, N, 8)
    args.left = <const int64_t *> integers(left, N, 8)
    args.mirror = <const int64_t *> integers(mirror, N, 8)
    args.scale = buffer1(scale, dtype, args.C)
    args.shift = buffer1(shift, dtype, args.C)
    args.fill = buffer1(fill, dtype, args.C)
    for n in range(N):
        if not 0 <= args.rows[n] < M:
            raise ValueError(f"native kernel: there is no row {args.rows[n]} among {M}")
    run(FD_crop_mirror_normalize, dtype, &args, N, y.size)
