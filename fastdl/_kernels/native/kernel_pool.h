/* Pooling: which layout the maps have, and whether maxima or averages are wanted, is settled before
 * the loops begin; the copy of the arguments, which goes to inlined functions alone, may stay in
 * registers while results are stored. Items of windows are rows of outputs, and rows of inputs on
 * the way back. */
#include "kernel_pool_taps.h"
#include "kernel_pool_planes.h"
#include "kernel_pool_gather.h"
#include "kernel_pool_pixels.h"
#include "kernel_pool_apart.h"
#include "kernel_pool_global.h"

FD_INLINE void K(unpool_planes)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                                int maximum)
{
    if (K(lie_apart)(args))
        K(zip_planes)(args, begin, end, maximum);
    else
        K(gather_in_planes)(args, begin, end, maximum);
}

/* `columns`: of a row of results. Those that are no whole number of vectors, the last of which then
 * runs over into the next row, are not for stores past the caches. */
#define POOLING(name, of_planes, of_pixels, columns, maximum)                                     \
    static void K(name)(const void *p, ptrdiff_t begin, ptrdiff_t end)                            \
    {                                                                                             \
        fd_pool_args args = *(const fd_pool_args *)p;                                             \
        const fd_window *w = &args.window;                                                        \
        args.stream = args.stream && (args.channels_last ? w->C : columns) % VL == 0;             \
        if (args.channels_last)                                                                   \
            K(of_pixels)(&args, begin, end, maximum);                                             \
        else                                                                                      \
            K(of_planes)(&args, begin, end, maximum);                                             \
    }

POOLING(max_pool2d, pool_planes, pool_pixels, w->OW, 1)
POOLING(max_pool2d_backward, unpool_planes, gather_in_pixels, w->W, 1)
POOLING(avg_pool2d, pool_planes, pool_pixels, w->OW, 0)
POOLING(avg_pool2d_backward, unpool_planes, gather_in_pixels, w->W, 0)
POOLING(global_max_pool2d, pool_maps, pool_blocks, w->OW, 1)
POOLING(global_max_pool2d_backward, spread_maps, spread_pixels, w->W, 1)
POOLING(global_avg_pool2d, pool_maps, pool_blocks, w->OW, 0)
POOLING(global_avg_pool2d_backward, spread_maps, spread_pixels, w->W, 0)
#undef POOLING
