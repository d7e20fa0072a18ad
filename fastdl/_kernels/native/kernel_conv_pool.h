/* Convolution with a 2 x 2 max-pool behind it, channels-last: some images at a time, whose maps
 * between the two stay in a core's cache and are never stored. On the way back the convolution's
 * gradients are laid out from those of the pool (K(lay_unpooled)). */

static void K(conv_images)(const fd_conv_pool_args *args, ptrdiff_t n, ptrdiff_t images, T *y)
{
    const fd_window *w = &args->conv.window;
    const T *x = (const T *)args->conv.x + n * w->C * w->H * w->W;
    if (args->by_winograd) {
        fd_winograd_args conv = args->winograd;
        conv.x = x, conv.y = y, conv.N = images;
        ptrdiff_t cells = (images + conv.together - 1) / conv.together;
        K(winograd)(&conv, 0, cells * conv.row_parts * conv.column_parts);
    } else {
        fd_conv_args conv = args->conv;
        conv.x = x, conv.y = y, conv.window.N = images;
        ptrdiff_t cells = (images + conv.together - 1) / conv.together;
        K(conv2d)(&conv, 0, cells * conv.row_parts * conv.column_parts);
    }
}

/* Items: args->images images. */
static void K(conv2d_max_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_pool_args *args = p;
    fd_pool_args pool = args->pool;
    const fd_window *w = &args->pool.window;
    ptrdiff_t between = w->H * w->W * w->C, pooled = w->OH * w->OW * w->C;
    T *y = fd_maps_scratch((size_t)(args->images * between) * sizeof(T));
    if (!y) return;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t n = item * args->images, images = FD_MIN(args->images, w->N - n);
        K(conv_images)(args, n, images, y);
        pool.window.N = images;
        pool.x = y;
        pool.y = (T *)args->pool.y + n * pooled;
        pool.argmax = args->pool.argmax ? (uint8_t *)args->pool.argmax + n * pooled : NULL;
        K(max_pool2d)(&pool, 0, images * w->OH);
    }
}
