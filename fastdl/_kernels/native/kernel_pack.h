/* Packing: lines copied into panels in which k runs slowest, for the matrix product.
 *
 * Where k runs along the lines this is a transposition, done VL x VL elements at a time: one step
 * interleaves row i with row i + VL / 2 into the rows 2i and 2i + 1. That moves the top bit of the
 * row's number to the bottom of the column's, and the other way round; after log2(VL) steps rows
 * and columns have changed places.
 */
#if !defined(__GNUC__)
#define FD_LANES 1
#elif defined(FD_IS_DOUBLE)
#define FD_LANES (FD_VBYTES / 8)
#else
#define FD_LANES (FD_VBYTES / 4)
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FD_HAS_SHUFFLE
#endif
#endif

#if FD_LANES == 16
#define FD_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define FD_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif FD_LANES == 8
#define FD_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define FD_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif FD_LANES == 4
#define FD_LOW 0, 4, 1, 5
#define FD_HIGH 2, 6, 3, 7
#else
#define FD_LOW 0, 2
#define FD_HIGH 1, 3
#endif

/* out[k, i] = scale * in[i, k] for VL steps of k and VL lines i; lines from `lines` on are 0. */
static inline void K(transpose_block)(const T *in, ptrdiff_t in_step, ptrdiff_t lines, T scale,
                                      T *out, ptrdiff_t out_step)
{
#if defined(FD_HAS_SHUFFLE) && FD_LANES > 1
    V rows[FD_LANES], mixed[FD_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < FD_LANES; i++) {
        rows[i] = (V){0};
        if (i < lines) rows[i] = scale * K(load)(in + i * in_step);
    }
#pragma GCC unroll 4
    for (int step = 1; step < FD_LANES; step *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < FD_LANES / 2; i++) {
            V a = rows[i], b = rows[i + FD_LANES / 2];
            mixed[2 * i] = __builtin_shufflevector(a, b, FD_LOW);
            mixed[2 * i + 1] = __builtin_shufflevector(a, b, FD_HIGH);
        }
#pragma GCC unroll 16
        for (int i = 0; i < FD_LANES; i++) rows[i] = mixed[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < FD_LANES; i++) K(store)(out + i * out_step, rows[i]);
#else
    for (ptrdiff_t i = 0; i < VL; i++)
        for (ptrdiff_t k = 0; k < VL; k++)
            out[k * out_step + i] = i < lines ? scale * in[i * in_step + k] : 0;
#endif
}
#undef FD_LANES
#undef FD_HAS_SHUFFLE
#undef FD_LOW
#undef FD_HIGH

/* One panel from `lines` lines along which k runs, filled up with 0 to `width` lines. */
static void K(pack_transposed)(const T *in, ptrdiff_t in_step, ptrdiff_t lines, ptrdiff_t kb,
                               ptrdiff_t width, T scale, T *panel)
{
    ptrdiff_t k = 0, last = (width - 1) / VL * VL;
    for (; k + VL <= kb; k += VL)
        /* Backwards: a block wider than what is left of the panel's line runs over into the
         * next line, whose own first block comes later. */
        for (ptrdiff_t i = last; i >= 0; i -= VL)
            K(transpose_block)(in + i * in_step + k, in_step, lines - i, scale,
                               panel + k * width + i, width);
    for (; k < kb; k++)
        for (ptrdiff_t i = 0; i < width; i++)
            panel[k * width + i] = i < lines ? scale * in[i * in_step + k] : 0;
}

/* One panel from lines that lie side by side, `k_stride` elements from one k to the next. */
static void K(pack_straight)(const T *in, ptrdiff_t k_stride, ptrdiff_t lines, ptrdiff_t kb,
                             ptrdiff_t width, T scale, T *panel)
{
    for (ptrdiff_t k = 0; k < kb; k++, in += k_stride, panel += width) {
        ptrdiff_t i = 0;
        for (; i + VL <= lines; i += VL) K(store)(panel + i, scale * K(load)(in + i));
        for (; i < lines; i++) panel[i] = scale * in[i];
        for (; i < width; i++) panel[i] = 0;
    }
}

/* Copy `count` lines of `kb` elements into panels of `width` lines, the last filled up with 0.
 * One of the strides is 1. Up to VL elements after the last panel may be overwritten. */
static void K(pack)(const T *source, ptrdiff_t line_stride, ptrdiff_t k_stride, ptrdiff_t count,
                    ptrdiff_t kb, ptrdiff_t width, T scale, T *panel)
{
    for (ptrdiff_t first = 0; first < count; first += width, panel += width * kb) {
        const T *in = source + first * line_stride;
        ptrdiff_t lines = FD_MIN(count - first, width);
        if (k_stride == 1)
            K(pack_transposed)(in, line_stride, lines, kb, width, scale, panel);
        else
            K(pack_straight)(in, k_stride, lines, kb, width, scale, panel);
    }
}
