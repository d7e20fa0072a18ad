/* What pooling does to a vector of outputs, or of gradients, whatever the layout of the maps. */

/* A cell of a window, or a window over a cell: how far away it is read, which number the cell has
 * in the window, and which share of the window's gradient an average gives it. */
typedef struct {
    ptrdiff_t offset;
    INT number;
    T share;
} K(tap);

/* How many rows and columns of a window an average counts. */
FD_INLINE T K(counted_rows)(const fd_pool_args *args, ptrdiff_t oh)
{
    const fd_window *w = &args->window;
    return (T)fd_counted(oh, w->SH, w->PH, w->KH, w->H, args->count_include_pad);
}

FD_INLINE T K(counted_columns)(const fd_pool_args *args, ptrdiff_t ow)
{
    const fd_window *w = &args->window;
    return (T)fd_counted(ow, w->SW, w->PW, w->KW, w->W, args->count_include_pad);
}

/* Load at element `at` of an array of `size` elements, and store to the result, of which no more
 * than that may be touched; NO_END is for where the caller knows that FD_VBYTES elements follow. */
#define NO_END PTRDIFF_MAX

FD_RARE V K(get_some)(const T *in, ptrdiff_t count)
{
    V v = {0};
    if (count > 0) memcpy(&v, in, (size_t)FD_MIN(count, VL) * sizeof(T));
    return v;
}

FD_RARE void K(put_some)(T *out, V v, ptrdiff_t count)
{
    if (count > 0) memcpy(out, &v, (size_t)FD_MIN(count, VL) * sizeof(T));
}

FD_INLINE V K(get)(const T *x, ptrdiff_t at, ptrdiff_t size)
{
    if (size == NO_END || at + VL <= size) return K(load)(x + at);
    return K(get_some)(x + at, size - at);
}

/* Gradients of a vector of outputs; 0 where a ReLU that follows kept the output back. */
FD_INLINE V K(get_dy)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size)
{
    V dy = K(get)(args->x, at, size);
    return args->gate ? K(gated)(K(get)(args->gate, at, size), dy) : dy;
}

FD_INLINE void K(put)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size, V v)
{
    T *y = args->y;
    if (at + VL <= size)
        K(write)(y + at, v, args->stream);
    else
        K(put_some)(y + at, v, size - at);
}

/* The same for argmax, where it is not VL bytes that are read or written. */
FD_RARE K(ivec) K(get_some_argmax)(const void *argmax, int bytes, ptrdiff_t at, ptrdiff_t count)
{
    INT lane[FD_VBYTES / sizeof(T)] = {0};
    K(ivec) v;
    for (ptrdiff_t i = 0; i < FD_MIN(count, VL); i++)
        lane[i] = bytes == 1 ? ((const uint8_t *)argmax)[at + i]
                             : ((const int32_t *)argmax)[at + i];
    memcpy(&v, lane, sizeof v);
    return v;
}

FD_RARE void K(put_some_argmax)(void *argmax, int bytes, ptrdiff_t at, ptrdiff_t count, K(ivec) v)
{
    INT lane[FD_VBYTES / sizeof(T)];
    memcpy(lane, &v, sizeof lane);
    for (ptrdiff_t i = 0; i < FD_MIN(count, VL); i++)
        if (bytes == 1)
            ((uint8_t *)argmax)[at + i] = (uint8_t)lane[i];
        else
            ((int32_t *)argmax)[at + i] = (int32_t)lane[i];
}

FD_INLINE K(ivec) K(get_argmax)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size)
{
    if (args->argmax_bytes == 1 && (size == NO_END || at + (ptrdiff_t)FD_VBYTES <= size))
        return K(widen)((const uint8_t *)args->argmax + at);
    return K(get_some_argmax)(args->argmax, args->argmax_bytes, at,
                              size == NO_END ? VL : size - at);
}

FD_INLINE void K(put_argmax)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size, K(ivec) v)
{
    if (!args->argmax) return;
    if (args->argmax_bytes == 1 && at + VL <= size)
        K(narrow)(v, (uint8_t *)args->argmax + at);
    else
        K(put_some_argmax)(args->argmax, args->argmax_bytes, at, size - at, v);
}

/* Let `value`, of cells `number`, replace the maxima that it beats: the smaller ones, and all
 * numbers if it is NaN. */
FD_INLINE void K(take)(V value, K(ivec) number, V *best, K(ivec) *argmax)
{
    K(ivec) wins = ~(K(ivec))(value <= *best) & (K(ivec))(*best == *best);
    *best = K(select)(wins, value, *best);
    *argmax = K(iselect)(wins, number, *argmax);
}

enum { K(ABREAST) = 4 };                /* vectors: each comparison waits for the one before it */

/* Maxima of so many vectors of windows that begin at element `at` of x. `argmax` starts as the first
 * cell inside the plane, which stands if all of them are -inf. */
FD_INLINE void K(largest)(const T *x, ptrdiff_t at, ptrdiff_t size, const K(tap) *taps,
                          ptrdiff_t count, const int vectors, V *best, K(ivec) *argmax)
{
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) best[v] = (V){0} - (T)INFINITY;
    for (ptrdiff_t i = 0; i < count; i++) {
        const T *cells = x + at + taps[i].offset;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            V value = size == NO_END ? K(load)(cells + v * VL)
                                     : K(get)(x, at + taps[i].offset + v * VL, size);
            K(take)(value, (K(ivec)){0} + taps[i].number, &best[v], &argmax[v]);
        }
    }
}

FD_INLINE V K(total)(const T *x, ptrdiff_t at, ptrdiff_t size, const K(tap) *taps,
                     ptrdiff_t count)
{
    V sum = {0};
    for (ptrdiff_t i = 0; i < count; i++) sum += K(get)(x, at + taps[i].offset, size);
    return sum;
}

/* The gradients that chose cell `number`, elsewhere 0. */
FD_INLINE V K(chosen)(V dy, K(ivec) argmax, INT number)
{
    V none = {0};
    return K(select)((K(ivec))(argmax == (K(ivec)){0} + number), dy, none);
}
