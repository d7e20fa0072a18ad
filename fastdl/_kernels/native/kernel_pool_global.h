/* Pooling over whole feature maps: H * W cells each, one output. Items are maps, or, where channels
 * lie last, (image, block of channels) forward and pixels backward. */

enum { K(VECTORS) = 4 };                /* of channels at a time: as many sums side by side */

/* ---- forward, one map ---- */

static T K(largest_of_map)(const T *x, ptrdiff_t cells, int32_t *argmax)
{
    T value[FD_VBYTES / sizeof(T)], max = (T)-INFINITY;
    INT number[FD_VBYTES / sizeof(T)], at = 0;
    K(ivec) numbers, found;
    V best = (V){0} - (T)INFINITY;
    ptrdiff_t i = 0;
    for (ptrdiff_t j = 0; j < VL; j++) number[j] = (INT)j;
    memcpy(&numbers, number, sizeof numbers);
    found = numbers;
    for (; i + VL <= cells; i += VL) K(take)(K(load)(x + i), numbers + (INT)i, &best, &found);
    memcpy(value, &best, sizeof value);
    memcpy(number, &found, sizeof number);
    for (ptrdiff_t j = 0; j < VL; j++) {
        int same = value[j] == max || (value[j] != value[j] && max != max);
        if (same ? number[j] < at : !(value[j] <= max) && max == max) {
            max = value[j];
            at = number[j];
        }
    }
    for (; i < cells; i++)
        if (!(x[i] <= max) && max == max) {
            max = x[i];
            at = (INT)i;
        }
    *argmax = (int32_t)at;
    return max;
}

FD_INLINE void K(pool_maps)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end, int maximum)
{
    ptrdiff_t cells = args->window.H * args->window.W;
    T *y = args->y;
    for (ptrdiff_t i = begin; i < end; i++) {
        const T *x = (const T *)args->x + i * cells;
        int32_t argmax;
        y[i] = maximum ? K(largest_of_map)(x, cells, &argmax) : K(sum)(x, cells) / (T)cells;
        if (maximum && args->argmax) ((int32_t *)args->argmax)[i] = argmax;
    }
}

/* ---- forward, a block of channels ---- */

/* `vectors` of channels, from element `at` of x and `to` of y on. */
FD_INLINE void K(pool_channels)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size,
                                ptrdiff_t to, ptrdiff_t end, int vectors, int maximum)
{
    ptrdiff_t cells = args->window.H * args->window.W, C = args->window.C;
    V result[K(VECTORS)];
    K(ivec) argmax[K(VECTORS)];
    for (int v = 0; v < vectors; v++) {
        result[v] = (V){0} - (maximum ? (T)INFINITY : 0);
        argmax[v] = (K(ivec)){0};
    }
    for (ptrdiff_t i = 0; i < cells; i++)
        for (int v = 0; v < vectors; v++) {
            V x = K(get)(args->x, at + i * C + v * VL, size);
            if (maximum)
                K(take)(x, (K(ivec)){0} + (INT)i, &result[v], &argmax[v]);
            else
                result[v] += x;
        }
    for (int v = 0; v < vectors; v++) {
        if (!maximum) result[v] = result[v] / (T)cells;
        K(put)(args, to + v * VL, end, result[v]);
        if (maximum) K(put_argmax)(args, to + v * VL, end, argmax[v]);
    }
}

FD_INLINE void K(pool_blocks)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                              int maximum)
{
    const ptrdiff_t C = args->window.C, block = FD_POOL_CHANNELS, blocks = (C + block - 1) / block;
    ptrdiff_t cells = args->window.H * args->window.W, size = args->window.N * cells * C;
    ptrdiff_t last = end / blocks * C + end % blocks * block;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t n = item / blocks, c = item % blocks * block, stop = FD_MIN(c + block, C);
        for (; c + K(VECTORS) * VL <= stop; c += K(VECTORS) * VL)
            K(pool_channels)(args, n * cells * C + c, NO_END, n * C + c, last, K(VECTORS), maximum);
        for (; c < stop; c += VL)
            K(pool_channels)(args, n * cells * C + c, size, n * C + c, last, 1, maximum);
    }
}

/* ---- backward ---- */

FD_INLINE void K(spread_maps)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                              int maximum)
{
    ptrdiff_t cells = args->window.H * args->window.W;
    for (ptrdiff_t i = begin; i < end; i++) {
        T dy = ((const T *)args->x)[i], *dx = (T *)args->y + i * cells;
        K(fill)(dx, cells, maximum ? 0 : dy * (1 / (T)cells));
        if (!maximum) continue;
        ptrdiff_t at = ((const int32_t *)args->argmax)[i];
        if (at >= 0 && at < cells) dx[at] = dy;
    }
}

FD_INLINE void K(spread_pixels)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                                int maximum)
{
    ptrdiff_t cells = args->window.H * args->window.W, C = args->window.C;
    ptrdiff_t size = args->window.N * C;
    for (ptrdiff_t item = begin; item < end; item++)
        for (ptrdiff_t c = 0; c < C; c += VL) {
            ptrdiff_t from = item / cells * C + c;
            V dy = K(get)(args->x, from, size);
            if (maximum)
                dy = K(chosen)(dy, K(get_argmax)(args, from, size), (INT)(item % cells));
            else
                dy = dy * (1 / (T)cells);
            K(put)(args, item * C + c, end * C, dy);
        }
}
