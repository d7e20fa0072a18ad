/* Pooling: which layout the maps have, and whether maxima or averages are wanted, is settled before
 * the loops begin; the copy of the arguments, which goes to inlined functions alone, may stay in
 * registers while results are stored. Items of windows are rows of outputs, and rows of inputs on
 * the way back. */
#include "kernel_pool_taps.h"
#include "kernel_pool_planes.h"
#include "kernel_pool_gather.h"
#include "kernel_pool_pixels.h"
#include "kernel_pool_global.h"

#define POOLING(name, of_planes, of_pixels, maximum)                                              \
    static void K(name)(const void *p, ptrdiff_t begin, ptrdiff_t end)                            \
    {                                                                                             \
        const fd_pool_args args = *(const fd_pool_args *)p;                                       \
        if (args.channels_last)                                                                   \
            K(of_pixels)(&args, begin, end, maximum);                                             \
        else                                                                                      \
            K(of_planes)(&args, begin, end, maximum);                                             \
    }

POOLING(max_pool2d, pool_planes, pool_pixels, 1)
POOLING(max_pool2d_backward, unpool_planes, unpool_pixels, 1)
POOLING(avg_pool2d, pool_planes, pool_pixels, 0)
POOLING(avg_pool2d_backward, unpool_planes, unpool_pixels, 0)
POOLING(global_max_pool2d, pool_maps, pool_blocks, 1)
POOLING(global_max_pool2d_backward, spread_maps, spread_pixels, 1)
POOLING(global_avg_pool2d, pool_maps, pool_blocks, 0)
POOLING(global_avg_pool2d_backward, spread_maps, spread_pixels, 0)
#undef POOLING
